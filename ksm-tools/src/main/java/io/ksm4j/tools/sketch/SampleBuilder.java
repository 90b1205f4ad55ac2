// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.sketch;

import java.util.Arrays;

/**
 * Samples the contents of a process with the lowest keyed hashes. Lowers its threshold whenever there are too many. So
 * every content that is below the final threshold has been counted from its first page on. For use by one thread.
 */
public final class SampleBuilder {

    private final int capacity;
    private final int limit;
    private final long[] table;
    private final int[] counts;

    private int size;
    private long threshold = Sample.ALL;

    /** Creates a builder of a sample for a file. */
    public SampleBuilder() {
        this(SketchFile.MAX_CONTENTS);
    }

    /** @param capacity how many contents the sample has at most */
    SampleBuilder(int capacity) {
        this.capacity = capacity;
        this.limit = 2 * capacity;
        this.table = new long[Integer.highestOneBit(limit) * 4];
        this.counts = new int[table.length];
    }

    /** Counts a page with this keyed hash. */
    public void add(long hashOfPage) {
        // 0 is an empty slot.
        long hash = Math.max(hashOfPage, 1);
        if (hash >= threshold) {
            return;
        }
        int at = find(hash);
        if (table[at] == hash) {
            counts[at] = Math.max(counts[at], counts[at] + 1);
            return;
        }
        table[at] = hash;
        counts[at] = 1;
        size++;
        if (size > limit) {
            shrink();
        }
    }

    private int find(long hash) {
        // The lower bits are as random as the upper ones, which the threshold makes equal.
        int at = (int) hash & table.length - 1;
        while (table[at] != 0 && table[at] != hash) {
            at = at + 1 & table.length - 1;
        }
        return at;
    }

    private void shrink() {
        Sample sample = build();
        Arrays.fill(table, 0);
        threshold = sample.threshold();
        size = sample.size();
        for (int i = 0; i < size; i++) {
            int at = find(sample.hash(i));
            table[at] = sample.hash(i);
            counts[at] = sample.count(i);
        }
    }

    /** Returns the sample of all pages that were added. */
    public Sample build() {
        long[] hashes = Arrays.stream(table).filter(hash -> hash != 0).sorted().toArray();
        long lower = hashes.length > capacity ? hashes[capacity] : threshold;
        long[] kept = hashes.length > capacity ? Arrays.copyOf(hashes, capacity) : hashes;
        return new Sample(
                lower,
                kept,
                Arrays.stream(kept).mapToInt(hash -> counts[find(hash)]).toArray());
    }
}
