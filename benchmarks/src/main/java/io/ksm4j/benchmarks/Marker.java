package io.ksm4j.benchmarks;

/** One way to mark and unmark one range. */
interface Marker {

    void mark();

    void unmark();
}
