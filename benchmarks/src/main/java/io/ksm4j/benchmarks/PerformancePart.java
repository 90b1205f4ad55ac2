// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks;

/** The benchmark for one part of {@code docs/performance.md}. */
public interface PerformancePart {

    /** Measures the part. Prints progress, because a program that is silent for minutes looks as if it hung. */
    PartReport measure(RunLength length) throws Exception;
}
