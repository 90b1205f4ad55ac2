// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.registry;

import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.benchmarks.Median;
import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.PerformancePart;
import io.ksm4j.benchmarks.RunLength;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.internal.registry.RangeIndex;
import io.ksm4j.plot.Plot;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/** Measures what a range costs in the registry for different numbers of ranges. */
public final class RegistryBenchmark implements PerformancePart {

    /**
     * An address below everything that the kernel maps itself. Nothing is mapped there: fallback regions make no system
     * calls.
     */
    private static final long FIRST = 1L << 40;

    private static final long LENGTH = 4096;

    /** The distance from one range to the next, which leaves a gap on both sides. */
    private static final long STRIDE = 2 * LENGTH;

    /** The number of ranges that an overlap query finds. */
    private static final int WINDOW = 4;

    private static final RegionOptions UNMARKED = RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE);

    /** A structure that adds, removes and finds ranges, which are identified by number. */
    private interface Ranges {

        void add(int range);

        void remove(int range);

        boolean overlaps(int first);

        boolean covers(int range);

        default void prepareQueries() {}
    }

    private static long start(int range) {
        return FIRST + range * STRIDE;
    }

    private record Table(MeasuredTable table) implements Ranges {

        @Override
        public void add(int range) {
            table.add(range, start(range), start(range) + LENGTH);
        }

        @Override
        public void remove(int range) {
            table.remove(range);
        }

        @Override
        public boolean overlaps(int first) {
            return table.overlaps(start(first), start(first + WINDOW));
        }

        @Override
        public boolean covers(int range) {
            return table.isMergeable(start(range) + 1);
        }
    }

    /** Complete regions that are opened and closed. They are marked before the timed queries, without system calls. */
    private static final class Regions implements Ranges {

        private final Ksm ksm;
        private final @Nullable MergeRegion[] open;

        Regions(Ksm ksm, int size) {
            this.ksm = ksm;
            this.open = new MergeRegion[size];
        }

        @Override
        public void add(int range) {
            open[range] = ksm.adopt(start(range), LENGTH, UNMARKED);
        }

        @Override
        public void remove(int range) {
            region(range).close();
            open[range] = null;
        }

        @Override
        public boolean overlaps(int first) {
            return !MergeRegistry.system().marksCovering(start(first) + 1).isEmpty();
        }

        @Override
        public boolean covers(int range) {
            return MergeRegistry.system().isMergeable(start(range) + 1);
        }

        private MergeRegion region(int range) {
            MergeRegion region = open[range];
            if (region == null) {
                throw new IllegalStateException("not open: " + range);
            }
            return region;
        }

        @Override
        public void prepareQueries() {
            for (int i = 0; i < open.length; i++) {
                region(i).markMergeable();
            }
        }

        void closeAll() {
            for (int i = 0; i < open.length; i++) {
                remove(i);
            }
        }
    }

    /** The JDK's red-black tree, which maps the starts of ranges to their ends. The ranges do not overlap. */
    private record Tree(TreeMap<Long, Long> ends) implements Ranges {

        @Override
        public void add(int range) {
            ends.put(start(range), start(range) + LENGTH);
        }

        @Override
        public void remove(int range) {
            ends.remove(start(range));
        }

        @Override
        public boolean overlaps(int first) {
            return !ends.subMap(start(first), start(first + WINDOW)).isEmpty();
        }

        @Override
        public boolean covers(int range) {
            long address = start(range) + 1;
            Map.Entry<Long, Long> last = ends.floorEntry(address);
            return last != null && last.getValue() > address;
        }
    }

    /** The index of a table without the rest of it. */
    private record Index(RangeIndex index) implements Ranges {

        Index() {
            this(new RangeIndex(new Object[] {RangeIndex.newTop(), RangeIndex.newSpares()}, 0, 1));
        }

        @Override
        public void add(int range) {
            index.reserve(1);
            index.add(start(range), start(range) + LENGTH, 1 + range);
        }

        @Override
        public void remove(int range) {
            index.remove(start(range), 1 + range);
        }

        @Override
        public boolean overlaps(int first) {
            return overlapping(start(first), start(first + WINDOW)) > 0;
        }

        @Override
        public boolean covers(int range) {
            return overlapping(start(range) + 1, start(range) + 2) > 0;
        }

        private int overlapping(long from, long to) {
            int[] found = {0};
            index.forEachOverlapping(from, to, (node, start, end) -> {
                found[0]++;
                return true;
            });
            return found[0];
        }
    }

    /** A structure that could take the place of the index with half as much code. */
    private record Smaller(PackedTree tree) implements Ranges {

        @Override
        public void add(int range) {
            tree.add(1 + range, start(range), start(range) + LENGTH);
        }

        @Override
        public void remove(int range) {
            tree.remove(1 + range);
        }

        @Override
        public boolean overlaps(int first) {
            return tree.overlapping(start(first), start(first + WINDOW)) > 0;
        }

        @Override
        public boolean covers(int range) {
            return tree.overlapping(start(range) + 1, start(range) + 2) > 0;
        }
    }

    /** Medians in nanoseconds per call. */
    private record Times(double add, double remove, double overlap, double lookUp) {}

    /**
     * The results for one number of ranges.
     *
     * @param access how long one access to as much memory as the table has takes, in nanoseconds
     */
    private record Row(
            int ranges,
            Times table,
            Times regions,
            Times tree,
            Times index,
            Times smaller,
            double bytes,
            double access) {}

    /** By default, a process has at most 65530 mappings, so 20,000 regions with gaps between them are many. */
    private static final List<Integer> SIZES = List.of(100, 20_000, 100_000, 1_000_000);

    private static final int CACHE_LINE = 64;

    private final Ksm ksm = Ksm.fallback();

    @Override
    public PartReport measure(RunLength length) {
        int rounds = length.of(3, 9, 51);
        int calls = length.of(200, 50_000, 100_000);
        long before = usedHeap();
        for (int i = 0; i < length.of(0, 2, 3); i++) {
            row(20_000, rounds, calls);
        }
        List<Row> rows = new ArrayList<>();
        for (int size : length.of(List.of(100, 1000), SIZES, SIZES)) {
            rows.add(row(size, rounds, calls));
            System.out.println("Measured with " + size + " ranges.");
        }
        int max = rows.get(rows.size() - 1).ranges();
        return report(rows, regionBytes(max, before));
    }

    private Row row(int size, int rounds, int calls) {
        Times table = times(new Table(new MeasuredTable(size)), size, rounds, calls);
        Times tree = times(new Tree(new TreeMap<>()), size, rounds, calls);
        Times index = times(new Index(), size, rounds, calls);
        Times smaller = times(new Smaller(new PackedTree(size)), size, rounds, calls);
        Regions regions = new Regions(ksm, size);
        Times whole = times(regions, size, rounds, calls);
        regions.closeAll();
        double bytes = tableBytes(size);
        return new Row(size, table, whole, tree, index, smaller, bytes, access((int) (bytes * size), rounds, calls));
    }

    /**
     * Returns how long it takes to read a word at a random place in this much memory, in nanoseconds. The word tells
     * where the next one is, so that the processor cannot read it ahead, as on the way down a tree.
     */
    private static double access(int bytes, int rounds, int calls) {
        int lines = bytes / CACHE_LINE;
        int wordsPerLine = CACHE_LINE / Long.BYTES;
        int[] order = shuffled(lines, new Random(lines));
        long[] words = new long[lines * wordsPerLine];
        for (int i = 0; i < lines; i++) {
            words[order[i] * wordsPerLine] = (long) order[(i + 1) % lines] * wordsPerLine;
        }
        double[] times = new double[rounds];
        long at = 0;
        for (int round = 0; round < rounds; round++) {
            long start = System.nanoTime();
            for (int i = 0; i < calls; i++) {
                at = words[(int) at];
            }
            times[round] = (double) (System.nanoTime() - start) / calls;
        }
        if (at % wordsPerLine != 0) {
            throw new IllegalStateException("not the start of a line: " + at);
        }
        return Median.of(times);
    }

    /**
     * In each round removes some ranges and adds them again in random order, so that their number stays about the same.
     */
    private static Times times(Ranges ranges, int size, int rounds, int calls) {
        Random random = new Random(size);
        int[] order = shuffled(size, random);
        for (int range : order) {
            ranges.add(range);
        }
        double[][] times = new double[4][rounds];
        int changed = Math.max(1, size / 10);
        for (int round = 0; round < rounds; round++) {
            for (int done = 0; done < calls; done += changed) {
                int[] some = Arrays.copyOf(shuffledPart(order, changed, random), changed);
                long start = System.nanoTime();
                for (int range : some) {
                    ranges.remove(range);
                }
                long middle = System.nanoTime();
                for (int range : some) {
                    ranges.add(range);
                }
                times[0][round] += System.nanoTime() - middle;
                times[1][round] += middle - start;
            }
            int changes = (calls + changed - 1) / changed * changed;
            times[0][round] /= changes;
            times[1][round] /= changes;
        }
        ranges.prepareQueries();
        for (int round = 0; round < rounds; round++) {
            int[] asked = random.ints(calls, 0, size).toArray();
            long start = System.nanoTime();
            int found = 0;
            for (int range : asked) {
                found += ranges.overlaps(range) ? 1 : 0;
            }
            long middle = System.nanoTime();
            for (int range : asked) {
                found += ranges.covers(range) ? 1 : 0;
            }
            times[3][round] = (double) (System.nanoTime() - middle) / calls;
            times[2][round] = (double) (middle - start) / calls;
            if (found != 2 * calls) {
                throw new IllegalStateException("of " + 2 * calls + " queries only " + found + " found something");
            }
        }
        return new Times(Median.of(times[0]), Median.of(times[1]), Median.of(times[2]), Median.of(times[3]));
    }

    private static int[] shuffled(int size, Random random) {
        int[] order = new int[size];
        Arrays.setAll(order, i -> i);
        return shuffledPart(order, size, random);
    }

    /** Moves random elements to the front. */
    private static int[] shuffledPart(int[] order, int part, Random random) {
        for (int i = 0; i < part; i++) {
            int other = i + random.nextInt(order.length - i);
            int moved = order[i];
            order[i] = order[other];
            order[other] = moved;
        }
        return order;
    }

    /** Returns the heap bytes of the table per range, with ranges added in random order. */
    private static double tableBytes(int size) {
        int[] order = shuffled(size, new Random(size));
        long before = usedHeap();
        MeasuredTable table = new MeasuredTable(size);
        for (int range : order) {
            table.add(range, start(range), start(range) + LENGTH);
        }
        table.dropSlots();
        double bytes = (double) (usedHeap() - before) / size;
        // Keeps the table and the array from being collected too early.
        if (!table.isMergeable(start(order[0]))) {
            throw new IllegalStateException("a range is missing");
        }
        return bytes;
    }

    /** Returns the heap bytes of an open region, including its part of the registry. */
    private double regionBytes(int size, long before) {
        Regions regions = new Regions(ksm, size);
        for (int range : shuffled(size, new Random(size))) {
            regions.add(range);
        }
        double bytes = (double) (usedHeap() - before) / size;
        regions.closeAll();
        return bytes;
    }

    private static long usedHeap() {
        // Objects that are cleaned up after a first collection are removed by the next.
        for (int i = 0; i < 2; i++) {
            System.gc();
        }
        return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
    }

    private static PartReport report(List<Row> rows, double regionBytes) {
        Row smallest = rows.get(0);
        Row largest = rows.get(rows.size() - 1);
        double growth = growth(smallest.table(), largest.table());
        double treeGrowth = growth(smallest.tree(), largest.tree());
        StringBuilder text = new StringBuilder("""
                One thread adds, removes and looks up ranges of one page, with a gap of one page between them, in random
                order. Times are in nanoseconds per call, medians over the rounds. *Table* is the table alone, including
                its lock: its share of opening a region, closing it and looking up an address. The columns with method
                names are whole calls of the public API: `adopt` and `close` of an unmarked region, `marksCovering` and
                `isMergeable`, all with a fallback `Ksm`, which makes no system calls. *Bytes* is the heap memory of the
                table per range.

                | ranges | table: add | table: remove | table: overlap | table: look-up | bytes \
                | `adopt` | `close` | `marksCovering` | `isMergeable` |
                | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
                """);
        for (Row row : rows) {
            text.append(String.format(Locale.ROOT, "| %,d |", row.ranges()));
            append(text, row.table());
            text.append(String.format(Locale.ROOT, " %.0f |", row.bytes()));
            append(text, row.regions());
            text.append('\n');
        }
        text.append("""

                *Index* is the part of the table that finds ranges, alone: a B+ tree. *AVL tree* is the same for a
                structure with half as much code, in one array of words. *Access* is the time to read one word at a
                random place in as much memory as the table has, where each word says which is read next.

                | ranges | index: add | index: remove | index: overlap | index: look-up \
                | AVL tree: add | AVL tree: remove | AVL tree: overlap | AVL tree: look-up | table, MB | access |
                | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
                """);
        for (Row row : rows) {
            text.append(String.format(Locale.ROOT, "| %,d |", row.ranges()));
            append(text, row.index());
            append(text, row.smaller());
            text.append(String.format(
                    Locale.ROOT, " %.3f | %.1f |\n", row.bytes() * row.ranges() / 1_000_000, row.access()));
        }
        double change = Math.max(largest.table().add(), largest.table().remove());
        text.append(String.format(
                Locale.ROOT,
                """

                With %,d ranges, a change takes as long as %.1f accesses to memory, and a look-up as long as %.1f.

                An open region takes %.0f bytes of heap in total: its `MergeRegion`, the state for its cleaner, and its
                part of the table.

                ![Time by number of ranges](%s)

                The number of steps is logarithmic, so it triples from a hundred ranges to a million. Time grows more
                than that in any structure, because a hundred ranges fit in the processor's caches and a million do
                not. Growth is therefore compared with that of a structure known to be logarithmic: a `TreeMap` with the
                same ranges in the same run. Add, remove and look-up together take %.1f times as long with %,d ranges as
                with %,d; with the `TreeMap`, they take %.1f times as long. The target is the first number divided by
                the second.
                """,
                largest.ranges(),
                change / largest.access(),
                largest.regions().lookUp() / largest.access(),
                regionBytes,
                PartReport.svg("registry"),
                growth,
                largest.ranges(),
                smallest.ranges(),
                treeGrowth));
        List<Target> targets = List.of(
                Target.maximum("registry-change-1000000", change / 1000, 1),
                Target.maximum("registry-look-up-1000000", largest.regions().lookUp(), 300),
                Target.maximum("registry-bytes-a-range", largest.bytes(), 120),
                Target.maximum("registry-growth", growth / treeGrowth, 1));
        return new PartReport(text.toString(), Map.of("registry", plot(rows)), targets);
    }

    private static void append(StringBuilder text, Times times) {
        text.append(String.format(
                Locale.ROOT,
                " %.0f | %.0f | %.0f | %.0f |",
                times.add(),
                times.remove(),
                times.overlap(),
                times.lookUp()));
    }

    private static double growth(Times few, Times many) {
        return (many.add() + many.remove() + many.lookUp()) / (few.add() + few.remove() + few.lookUp());
    }

    private static Plot plot(List<Row> rows) {
        List<Plot.Line> lines = List.of(
                line("add", rows, row -> row.table().add()),
                line("remove", rows, row -> row.table().remove()),
                line("overlap", rows, row -> row.table().overlap()),
                line("look-up", rows, row -> row.table().lookUp()),
                line("AVL: add", rows, row -> row.smaller().add()),
                line("AVL: look-up", rows, row -> row.smaller().lookUp()),
                line("TreeMap: put", rows, row -> row.tree().add()),
                line("TreeMap: floorEntry", rows, row -> row.tree().lookUp()));
        double highest = lines.stream()
                .flatMap(line -> line.points().stream())
                .mapToDouble(Plot.Point::y)
                .max()
                .orElseThrow();
        return new Plot(
                "The registry, by number of ranges",
                new Plot.Axis(
                        "ranges",
                        rows.get(0).ranges(),
                        rows.get(rows.size() - 1).ranges(),
                        true),
                List.of(new Plot.Panel(new Plot.Axis("ns per call", 0, highest * 1.05, false), lines)));
    }

    private static Plot.Line line(String name, List<Row> rows, ToDoubleFunction<Row> time) {
        return new Plot.Line(
                name,
                rows.stream()
                        .map(row -> new Plot.Point(row.ranges(), time.applyAsDouble(row)))
                        .toList());
    }
}
