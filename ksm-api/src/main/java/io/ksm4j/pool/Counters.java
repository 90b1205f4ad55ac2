// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import java.util.concurrent.atomic.AtomicLongArray;

/**
 * Totals that many threads add to, each mostly in a cache line of its own. Unlike {@code LongAdder}, adding never
 * allocates, so it cannot fail.
 */
final class Counters {

    static final int BLOCKS = 0;
    static final int VALUE_BYTES = 1;
    static final int LOGICAL_BYTES = 2;
    static final int SHARED_STORES = 3;

    private static final int STRIPES = 16;

    /** Longs in two cache lines, since processors fetch lines in pairs. */
    private static final int STRIDE = 16;

    private final AtomicLongArray values = new AtomicLongArray(STRIPES * STRIDE);

    void add(int counter, long number) {
        int stripe = (int) Thread.currentThread().getId() & (STRIPES - 1);
        values.getAndAdd(stripe * STRIDE + counter, number);
    }

    long sum(int counter) {
        long sum = 0;
        for (int stripe = 0; stripe < STRIPES; stripe++) {
            sum += values.get(stripe * STRIDE + counter);
        }
        return sum;
    }
}
