// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

import java.util.List;

/** The times that inferences have taken. */
final class Latencies {

    private final long[] nanos;

    /** Creates them from times in nanoseconds, in any order, of which there is at least one. */
    Latencies(List<Long> nanos) {
        this.nanos = nanos.stream().mapToLong(Long::longValue).sorted().toArray();
    }

    /** Returns the milliseconds within which this percentage of the inferences, 1 to 100, has ended. */
    double percentile(int percent) {
        return nanos[(nanos.length * percent + 99) / 100 - 1] / 1e6;
    }
}
