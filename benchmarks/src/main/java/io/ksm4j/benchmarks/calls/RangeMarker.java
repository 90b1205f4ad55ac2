// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.calls;

/** Marks and unmarks one range through one binding. */
@FunctionalInterface
interface RangeMarker {

    int MADV_MERGEABLE = 12;
    int MADV_UNMERGEABLE = 13;

    /**
     * Calls {@code madvise} for the range.
     *
     * @throws IllegalStateException if the call fails
     */
    void madvise(int advice);

    default void mark() {
        madvise(MADV_MERGEABLE);
    }

    default void unmark() {
        madvise(MADV_UNMERGEABLE);
    }
}
