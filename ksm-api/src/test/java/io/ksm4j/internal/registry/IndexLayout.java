// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.registry;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/** The layout of {@link RangeIndex}, written down a second time, because other copies of ksm4j read the same arrays. */
final class IndexLayout {

    private static final int CAPACITY = 32;

    record Entry(long start, long end, long node) {}

    private final Object top;

    IndexLayout(Object top) {
        this.top = top;
    }

    int levels() {
        int levels = 1;
        for (Object block = top; block instanceof Object[] branch; block = branch[1]) {
            levels++;
        }
        return levels;
    }

    /** Checks every block, and returns all ranges in order. */
    List<Entry> check() {
        List<Entry> ranges = new ArrayList<>();
        collect(top, levels(), ranges);
        assertThat(ranges)
                .isSortedAccordingTo(Comparator.comparingLong(Entry::start).thenComparingLong(Entry::node));
        return ranges;
    }

    private void collect(Object block, int levels, List<Entry> ranges) {
        assertThat(block instanceof Object[]).as("leaves are at the bottom").isEqualTo(levels > 1);
        List<Entry> entries = entries(block);
        assertThat(entries).hasSizeLessThanOrEqualTo(CAPACITY);
        if (!(block instanceof Object[] branch)) {
            ranges.addAll(entries);
            return;
        }
        for (int i = 0; i < entries.size(); i++) {
            List<Entry> below = entries(branch[1 + i]);
            assertThat(below).isNotEmpty();
            long end = below.stream().mapToLong(Entry::end).max().orElseThrow();
            assertThat(entries.get(i))
                    .isEqualTo(new Entry(below.get(0).start(), end, below.get(0).node()));
            collect(branch[1 + i], levels - 1, ranges);
        }
        assertThat(Arrays.copyOfRange(branch, 1 + entries.size(), branch.length))
                .as("unused elements")
                .isEqualTo(new Object[CAPACITY - entries.size()]);
    }

    private static List<Entry> entries(Object block) {
        long[] words = (long[]) (block instanceof Object[] branch ? branch[0] : block);
        assertThat(words).hasSize(1 + 3 * CAPACITY);
        List<Entry> entries = new ArrayList<>();
        for (int i = 0; i < words[0]; i++) {
            entries.add(new Entry(words[1 + 3 * i], words[2 + 3 * i], words[3 + 3 * i]));
        }
        return entries;
    }
}
