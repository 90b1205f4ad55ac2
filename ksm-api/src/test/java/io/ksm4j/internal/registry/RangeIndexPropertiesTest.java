// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.registry;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.function.IntToLongFunction;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.Tag;

/** Compares the index with a sorted list that is searched linearly. */
@Tag("more")
class RangeIndexPropertiesTest {

    private static final Comparator<IndexLayout.Entry> ORDER =
            Comparator.comparingLong(IndexLayout.Entry::start).thenComparingLong(IndexLayout.Entry::node);

    /** A phase in which ranges are added and removed. With more addresses, fewer ranges start at the same one. */
    record Phase(long seed, int steps, int percentAdded, int addresses, int maxLength) {}

    @Provide
    Arbitrary<List<Phase>> phases() {
        return Combinators.combine(
                        Arbitraries.longs(),
                        Arbitraries.integers().between(1, 1500),
                        Arbitraries.of(5, 30, 50, 70, 95),
                        Arbitraries.of(1, 20, 1000, 100_000),
                        Arbitraries.of(1, 10, 500, 100_000))
                .as(Phase::new)
                .list()
                .ofMinSize(1)
                .ofMaxSize(5);
    }

    @Property(tries = 150, edgeCases = EdgeCasesMode.NONE)
    void theIndexAlwaysFindsTheSameRangesAsTheList(@ForAll("phases") List<Phase> phases) {
        Model model = new Model();
        for (Phase phase : phases) {
            model.run(phase);
            assertThat(new IndexLayout(model.shared[0]).check()).containsExactlyElementsOf(model.ranges);
        }
        model.removeAll(new Random(1));
    }

    /** The index and the list that it is compared with. */
    private static final class Model {
        final Object[] shared = {RangeIndex.newTop(), RangeIndex.newSpares()};
        final RangeIndex index = new RangeIndex(shared, 0, 1);
        final TreeSet<IndexLayout.Entry> ranges = new TreeSet<>(ORDER);
        final List<IndexLayout.Entry> unordered = new ArrayList<>();
        int nodes;

        void run(Phase phase) {
            Random random = new Random(phase.seed());
            for (int i = 0; i < phase.steps(); i++) {
                if (random.nextInt(100) < phase.percentAdded()) {
                    long start = random.nextInt(phase.addresses());
                    add(start, start + 1 + random.nextInt(phase.maxLength()));
                } else if (!unordered.isEmpty()) {
                    remove(random.nextInt(unordered.size()));
                }
                if (i % 50 == 0) {
                    long from = random.nextInt(phase.addresses());
                    compare(from, from + 1 + random.nextInt(phase.maxLength()));
                }
            }
        }

        void add(long start, long end) {
            IndexLayout.Entry range = new IndexLayout.Entry(start, end, ++nodes);
            index.add(start, end, nodes);
            ranges.add(range);
            unordered.add(range);
        }

        void remove(int at) {
            Collections.swap(unordered, at, unordered.size() - 1);
            IndexLayout.Entry range = unordered.remove(unordered.size() - 1);
            index.remove(range.start(), (int) range.node());
            ranges.remove(range);
        }

        void removeAll(Random order) {
            while (!unordered.isEmpty()) {
                remove(order.nextInt(unordered.size()));
            }
            assertThat(shared[0]).as("only one leaf remains").isInstanceOf(long[].class);
            assertThat(new IndexLayout(shared[0]).check()).isEmpty();
        }

        private void compare(long from, long to) {
            List<Long> expected = ranges.stream()
                    .filter(range -> range.start() < to && range.end() > from)
                    .map(IndexLayout.Entry::node)
                    .toList();
            assertThat(overlapping(from, to, Integer.MAX_VALUE)).isEqualTo(expected);
            int some = expected.size() / 2 + 1;
            assertThat(overlapping(from, to, some))
                    .as("a visitor that stops early")
                    .isEqualTo(expected.subList(0, Math.min(some, expected.size())));
        }

        private List<Long> overlapping(long from, long to, int limit) {
            List<Long> found = new ArrayList<>();
            index.forEachOverlapping(from, to, (node, start, end) -> {
                found.add((long) node);
                return found.size() < limit;
            });
            return found;
        }
    }

    @Example
    void theTreeStaysLowAndWellFilledForAnyOrderOfRanges() {
        Random random = new Random(1);
        int ranges = 100_000;
        requireLowAndFull(ranges, i -> i);
        requireLowAndFull(ranges, i -> ranges - i);
        // The kernel maps each region at a lower address than the one before, below the first one.
        requireLowAndFull(ranges, i -> i == 0 ? 0 : 2L * ranges - i);
        requireLowAndFull(ranges, i -> random.nextInt(ranges));
        requireLowAndFull(ranges, i -> 7);
    }

    private static void requireLowAndFull(int ranges, IntToLongFunction start) {
        Model model = new Model();
        for (int i = 0; i < ranges; i++) {
            long at = start.applyAsLong(i);
            model.add(at, at + 3);
        }
        requireLow(model, 4);
        assertThat(leaves(model.shared[0])).isLessThan(ranges / 19);
        Random order = new Random(2);
        while (model.unordered.size() > ranges / 100) {
            model.remove(order.nextInt(model.unordered.size()));
        }
        requireLow(model, 3);
        assertThat(leaves(model.shared[0])).isLessThan(ranges / 100 / 8);
        model.removeAll(order);
    }

    private static void requireLow(Model model, int levels) {
        IndexLayout layout = new IndexLayout(model.shared[0]);
        assertThat(layout.check()).hasSameSizeAs(model.ranges);
        assertThat(layout.levels()).isLessThanOrEqualTo(levels);
    }

    private static int leaves(Object block) {
        if (!(block instanceof Object[] branch)) {
            return 1;
        }
        int leaves = 0;
        for (int i = 1; i < branch.length && branch[i] != null; i++) {
            leaves += leaves(branch[i]);
        }
        return leaves;
    }

    @Example
    void addingAndRemovingTheSameRangeCreatesNoNewBlocks() {
        Model model = new Model();
        for (int i = 0; i < 10_000; i++) {
            model.add(i, i + 1);
        }
        int before = leaves(model.shared[0]);
        for (int i = 0; i < 10_000; i++) {
            model.add(5000, 5001);
            model.remove(model.unordered.size() - 1);
        }
        assertThat(leaves(model.shared[0])).isBetween(before, before + 1);
        assertThat(new IndexLayout(model.shared[0]).check()).hasSize(10_000);
    }
}
