// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

/** Compares the table with sets and maps that hold everything. */
@Tag("more")
class ContentTablePropertiesTest {

    private static final int MAX_PAGE_SHARING = 256;

    /** Pages of each process, as hashes. */
    private static List<List<Long>> processes(List<List<Integer>> contents, long salt) {
        return contents.stream()
                .map(pages -> pages.stream().map(content -> hash(content, salt)).toList())
                .toList();
    }

    private static long hash(int content, long salt) {
        return new SplittableRandom(content * 31L + salt).nextLong();
    }

    private static ContentTable filled(int slots, int level, List<List<Long>> processes) {
        ContentTable table = new ContentTable(slots, level);
        for (List<Long> pages : processes) {
            table.nextProcess();
            pages.forEach(table::add);
        }
        return table;
    }

    private static Map<Long, Long> counts(List<List<Long>> processes) {
        Map<Long, Long> counts = new HashMap<>();
        processes.forEach(pages -> pages.forEach(hash -> counts.merge(hash, 1L, Long::sum)));
        return counts;
    }

    private static Set<Long> withLevel(Set<Long> hashes, int level) {
        Set<Long> kept = new HashSet<>(hashes);
        kept.removeIf(hash -> Long.numberOfTrailingZeros(hash) < level);
        return kept;
    }

    /** The numbers are those of the contents in the sample, multiplied by the sampling factor. */
    private static void assertCountsThoseInTheSample(ContentTable table, List<List<Long>> processes) {
        int level = Long.numberOfTrailingZeros(table.sampling());
        Map<Long, Long> counts = counts(processes);
        Set<Long> all = withLevel(counts.keySet(), level);
        assertThat(table.contents()).isEqualTo(all.size() * table.sampling());
        long merged = 0;
        long copies = 0;
        for (long hash : all) {
            if (counts.get(hash) > 1) {
                merged++;
                copies += (long) Math.ceil(counts.get(hash) / (double) MAX_PAGE_SHARING);
            }
        }
        assertThat(table.groups(MAX_PAGE_SHARING).merged()).isEqualTo(merged * table.sampling());
        assertThat(table.groups(MAX_PAGE_SHARING).copies()).isEqualTo(copies * table.sampling());
        for (int i = 0; i < processes.size(); i++) {
            Set<Long> own = withLevel(new HashSet<>(processes.get(i)), level);
            assertThat(table.contents(i)).isEqualTo(own.size() * table.sampling());
            Set<Long> others = new HashSet<>();
            for (int j = 0; j < processes.size(); j++) {
                if (j != i) {
                    others.addAll(processes.get(j));
                }
            }
            own.retainAll(others);
            assertThat(table.elsewhere(i)).isEqualTo(own.size() * table.sampling());
        }
    }

    @Property(tries = 300)
    void countsAllContentsIfThereIsEnoughRoom(
            @ForAll @Size(max = 5) List<@Size(max = 600) List<@IntRange(max = 300) Integer>> contents,
            @ForAll long salt) {
        List<List<Long>> processes = processes(contents, salt);
        ContentTable table = filled(1024, 0, processes);

        assertThat(table.sampling()).isEqualTo(1);
        assertThat(table.groups(MAX_PAGE_SHARING).standardError()).isZero();
        assertCountsThoseInTheSample(table, processes);
    }

    @Property(tries = 300)
    void countsASampleIfThereIsNotEnoughRoom(
            @ForAll @Size(max = 5) List<@Size(max = 600) List<@IntRange(max = 3000) Integer>> contents,
            @ForAll @IntRange(max = 3) int level,
            @ForAll long salt) {
        List<List<Long>> processes = processes(contents, salt);
        ContentTable table = filled(64, level, processes);

        assertThat(table.sampling()).isGreaterThanOrEqualTo(1L << level);
        assertCountsThoseInTheSample(table, processes);
    }

    @Property(tries = 100)
    void distinguishesHashesThatCollide(@ForAll @Size(max = 48) Set<@IntRange(max = 60_000) Integer> contents) {
        // All have one of the last home positions, so they wrap around to the first.
        List<Long> hashes = new ArrayList<>();
        contents.forEach(content -> hashes.add(-1L << 58 | content));

        assertCountsThoseInTheSample(filled(64, 0, List.of(hashes, hashes)), List.of(hashes, hashes));
    }

    @Property(tries = 10)
    void samplesAreUnbiased(@ForAll long salt) {
        int rounds = 200;
        int distinct = 2000;
        int merged = 200;
        double kept = distinct - merged + 5.0 * merged;
        double sum = 0;
        double squares = 0;
        for (int round = 0; round < rounds; round++) {
            ContentTable table = new ContentTable(256, 0);
            table.nextProcess();
            for (int content = 0; content < distinct; content++) {
                // Some are on 20 pages each, of which five copies are kept.
                for (int page = 0; page < (content < merged ? 20 : 1); page++) {
                    table.add(hash(content, salt + round * 7919L));
                }
            }
            sum += table.contents() - (double) distinct;
            ContentTable.Groups groups = table.groups(4);
            double error = table.contents() - groups.merged() + groups.copies() - kept;
            squares += error * error / Math.pow(groups.standardError(), 2);
        }
        // 2000 contents, of which 100 to 200 are kept: an error of about 8 percent a round, so of about 0.6 percent
        // on average.
        assertThat(sum / rounds).isCloseTo(0, within(0.03 * distinct));
        assertThat(squares / rounds)
                .as("squared errors relative to the expected ones")
                .isBetween(0.5, 1.8);
    }

    @Property(tries = 50)
    void acceptsAHashOfZero(@ForAll @IntRange(min = 1, max = 600) int pages) {
        ContentTable table = new ContentTable(4, 0);
        table.nextProcess();
        for (int i = 0; i < pages; i++) {
            table.add(0);
        }

        assertThat(table.contents()).isEqualTo(1);
        assertThat(table.groups(MAX_PAGE_SHARING).merged()).isEqualTo(pages > 1 ? 1 : 0);
    }
}
