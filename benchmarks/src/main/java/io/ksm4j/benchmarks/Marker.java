package io.ksm4j.benchmarks;

/** One way to mark and unmark one range. */
@FunctionalInterface
interface Marker {

    int MADV_MERGEABLE = 12;
    int MADV_UNMERGEABLE = 13;

    /**
     * Makes the call.
     *
     * @throws IllegalStateException if it fails
     */
    void madvise(int advice);

    default void mark() {
        madvise(MADV_MERGEABLE);
    }

    default void unmark() {
        madvise(MADV_UNMERGEABLE);
    }
}
