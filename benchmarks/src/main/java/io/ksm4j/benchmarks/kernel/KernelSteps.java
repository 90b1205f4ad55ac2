// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.kernel;

import java.io.IOException;

/** Runs the steps of {@link KernelBenchmark} in one language. */
@FunctionalInterface
interface KernelSteps {

    /**
     * Runs one step, which may depend on the steps before it.
     *
     * @return the nanoseconds it took
     */
    long run(String step, long size) throws IOException;
}
