package io.ksm4j.benchmarks;

/** A part of {@code docs/performance.md}, with what measures it. */
interface Part {

    /** Measures. Prints how far it is, since minutes without a word look like a program that hangs. */
    PartReport measure(Length length) throws Exception;
}
