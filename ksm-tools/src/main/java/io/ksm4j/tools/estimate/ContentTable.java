// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import java.util.ArrayList;
import java.util.List;

/**
 * Counts how many pages and processes have each page content, identified by a 64-bit hash. If there is not enough room,
 * keeps only contents whose hash ends with some zero bits: either all pages of a content or none. So the counts are
 * exact for a sample of contents. Unlike a sample of pages, it allows estimating how many contents there are. For use
 * by one thread.
 */
final class ContentTable {

    /** Each entry has a hash, which is 0 if the entry is empty, and a word with its count and processes. */
    private static final int ENTRY = 2;

    static final int ENTRY_BYTES = ENTRY * Long.BYTES;

    /** The maximum of a single array. */
    static final int MAX_SLOTS = 1 << 29;

    /** Bits of the word: how many pages have the content. */
    private static final long COUNT = 0xffff_ffffL;

    /** Bit of the word: more than one process has the content. The bits above are the last such process. */
    private static final long SHARED = 1L << 32;

    private static final int PROCESS_SHIFT = 33;

    private static final int LEVELS = Long.SIZE;

    private final long[] table;
    private final int slots;
    private final int shift;
    private final int limit;

    private int size;
    private int level;

    /** The number of contents, by the number of zero bits at the end of their hashes. */
    private final long[] contents = new long[LEVELS];

    private final List<OfProcess> processes = new ArrayList<>();

    private static final class OfProcess {
        final long[] contents = new long[LEVELS];
        final long[] elsewhere = new long[LEVELS];
    }

    /**
     * What the contents become when they merge.
     *
     * @param merged contents that several pages have
     * @param copies pages that are kept of those
     * @param standardError of the number of pages kept of all contents: each content is in the sample or not,
     *     independently of the others
     */
    record Groups(long merged, long copies, double standardError) {}

    /**
     * Creates an empty table.
     *
     * @param slots the capacity, of which three quarters are used; a power of two from 4 to {@link #MAX_SLOTS}
     * @param level how many zero bits hashes must end with from the start
     */
    ContentTable(int slots, int level) {
        this.slots = slots;
        this.level = level;
        this.table = new long[slots * ENTRY];
        this.shift = Long.SIZE - Integer.numberOfTrailingZeros(slots);
        this.limit = slots - slots / 4;
    }

    /** Starts the next process. The first one is 0. */
    void nextProcess() {
        processes.add(new OfProcess());
    }

    /** Counts a page of the current process. */
    void add(long hashOfPage) {
        long hash = hashOfPage == 0 ? 1 : hashOfPage;
        int hashLevel = Long.numberOfTrailingZeros(hash);
        if (hashLevel < level) {
            return;
        }
        int process = processes.size() - 1;
        int at = find(hash);
        if (table[at] == 0) {
            table[at] = hash;
            table[at + 1] = (long) process << PROCESS_SHIFT | 1;
            contents[hashLevel]++;
            processes.get(process).contents[hashLevel]++;
            size++;
            while (size > limit) {
                level++;
                removeBelowLevel();
            }
            return;
        }
        long word = table[at + 1];
        int last = (int) (word >>> PROCESS_SHIFT);
        long shared = word & SHARED;
        if (last != process) {
            if (shared == 0) {
                processes.get(last).elsewhere[hashLevel]++;
                shared = SHARED;
            }
            processes.get(process).contents[hashLevel]++;
            processes.get(process).elsewhere[hashLevel]++;
        }
        table[at + 1] = (long) process << PROCESS_SHIFT | shared | Math.min((word & COUNT) + 1, COUNT);
    }

    /** Returns the position of the hash, or the position to insert it. */
    private int find(long hash) {
        int at = (int) (hash >>> shift) * ENTRY;
        while (table[at] != 0 && table[at] != hash) {
            at = at + ENTRY & table.length - 1;
        }
        return at;
    }

    /**
     * Removes entries below the level, and moves each other entry to where a search from its home position finds it
     * first. Starts after a gap.
     */
    private void removeBelowLevel() {
        int gap = 0;
        while (table[gap] != 0) {
            gap += ENTRY;
        }
        for (int i = 1; i < slots; i++) {
            int at = gap + i * ENTRY & table.length - 1;
            long hash = table[at];
            if (hash == 0) {
                continue;
            }
            table[at] = 0;
            if (Long.numberOfTrailingZeros(hash) < level) {
                size--;
            } else {
                int home = find(hash);
                table[home] = hash;
                table[home + 1] = table[at + 1];
            }
        }
    }

    /** Returns how many contents one content of the sample stands for; 1 if all are counted. */
    long sampling() {
        return 1L << level;
    }

    /** Returns the number of contents of all processes. */
    long contents() {
        return estimate(contents);
    }

    /** Returns the number of contents of a process. */
    long contents(int process) {
        return estimate(processes.get(process).contents);
    }

    /** Returns the number of contents of a process that another process also has. */
    long elsewhere(int process) {
        return estimate(processes.get(process).elsewhere);
    }

    private long estimate(long[] byLevel) {
        long sum = 0;
        for (int i = level; i < LEVELS; i++) {
            sum += byLevel[i];
        }
        return sum << level;
    }

    /**
     * Returns what the contents become.
     *
     * @param maxSharing the maximum number of mappings that share a page
     */
    Groups groups(long maxSharing) {
        long merged = 0;
        long copies = 0;
        double squares = 0;
        for (int at = 0; at < table.length; at += ENTRY) {
            long count = table[at] == 0 ? 0 : table[at + 1] & COUNT;
            long kept = copies(count, maxSharing);
            squares += (double) kept * kept;
            if (count > 1) {
                merged++;
                copies += kept;
            }
        }
        // However few contents are in the sample, one may have been missed by chance.
        double error = Math.sqrt((squares + 1) * sampling() * (sampling() - 1));
        return new Groups(merged << level, copies << level, error);
    }

    /** Returns how many pages are kept of equal pages. */
    static long copies(long pages, long maxSharing) {
        return (pages + maxSharing - 1) / maxSharing;
    }
}
