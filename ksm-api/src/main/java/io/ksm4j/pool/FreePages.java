// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import java.util.Arrays;

/**
 * The free pages of a region, as maximal runs in lists by length. Taking and giving back take constant time regardless
 * of the number of runs, except for a request of 32 pages or more that only a run of almost the same length can
 * satisfy.
 *
 * <p>Not thread-safe.
 */
final class FreePages {

    static final int NONE = -1;

    /** Runs shorter than this have one list per length. */
    private static final int EXACT = 32;

    /** Longer runs have four lists per power of two. */
    private static final int FINENESS_BITS = 2;

    private static final int LISTS = EXACT + ((Integer.SIZE - 6) << FINENESS_BITS);

    /**
     * The length of a free run at its first and its last page; 0 at the first and the last page of a run that is taken.
     */
    private final int[] lengths;

    /** For the first page of a run: the next run in its list. */
    private final int[] next;

    /** For the first page of a run: the previous run in its list. */
    private final int[] previous;

    /** For each list: the first page of its first run. */
    private final int[] heads = new int[LISTS];

    /** One bit per list: set if the list contains a run. */
    private final long[] filled = new long[(LISTS + Long.SIZE - 1) / Long.SIZE];

    private int free;

    FreePages(int pages) {
        lengths = new int[pages];
        next = new int[pages];
        previous = new int[pages];
        Arrays.fill(heads, NONE);
        insert(0, pages);
        free = pages;
    }

    int free() {
        return free;
    }

    /**
     * Takes the given number of consecutive pages, and returns the first, or {@link #NONE} if no run is long enough.
     */
    int take(int pages) {
        if (pages > free) {
            return NONE;
        }
        int list = list(pages);
        // All runs in later lists are long enough. Those in its own list are only if it contains a single length.
        int first = head(pages < EXACT ? list : list + 1);
        for (int run = pages < EXACT ? NONE : heads[list]; first == NONE && run != NONE; run = next[run]) {
            if (lengths[run] >= pages) {
                first = run;
            }
        }
        if (first == NONE) {
            return NONE;
        }
        int length = lengths[first];
        remove(first, length);
        if (length > pages) {
            insert(first + pages, length - pages);
        }
        lengths[first] = 0;
        lengths[first + pages - 1] = 0;
        free -= pages;
        return first;
    }

    /** Gives back a whole run returned by {@link #take}. */
    void giveBack(int first, int pages) {
        int from = first;
        int to = first + pages;
        if (from > 0 && lengths[from - 1] > 0) {
            int length = lengths[from - 1];
            from -= length;
            remove(from, length);
        }
        if (to < lengths.length && lengths[to] > 0) {
            int length = lengths[to];
            remove(to, length);
            to += length;
        }
        insert(from, to - from);
        free += pages;
    }

    private void insert(int first, int length) {
        int list = list(length);
        int head = heads[list];
        lengths[first] = length;
        lengths[first + length - 1] = length;
        previous[first] = NONE;
        next[first] = head;
        if (head != NONE) {
            previous[head] = first;
        }
        heads[list] = first;
        filled[list / Long.SIZE] |= 1L << list;
    }

    private void remove(int first, int length) {
        int list = list(length);
        if (next[first] != NONE) {
            previous[next[first]] = previous[first];
        }
        if (previous[first] != NONE) {
            next[previous[first]] = next[first];
            return;
        }
        heads[list] = next[first];
        if (heads[list] == NONE) {
            filled[list / Long.SIZE] &= ~(1L << list);
        }
    }

    /** Returns the first run of the first non-empty list, starting at the given list. */
    private int head(int from) {
        long mask = -1L << from;
        for (int word = from / Long.SIZE; word < filled.length; word++) {
            long lists = filled[word] & mask;
            if (lists != 0) {
                return heads[word * Long.SIZE + Long.numberOfTrailingZeros(lists)];
            }
            mask = -1;
        }
        return NONE;
    }

    private static int list(int length) {
        if (length < EXACT) {
            return length;
        }
        int exponent = Integer.SIZE - 1 - Integer.numberOfLeadingZeros(length);
        int fraction = (length >>> (exponent - FINENESS_BITS)) & ((1 << FINENESS_BITS) - 1);
        return EXACT + ((exponent - 5) << FINENESS_BITS) + fraction;
    }
}
