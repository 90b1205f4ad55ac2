// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.calls;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.atomic.LongAdder;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.profile.InternalProfiler;
import org.openjdk.jmh.results.AggregationPolicy;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.ScalarResult;

/**
 * Measures the bytes that a call allocates on the heap. JMH's own profiler counts the whole JVM including JMH's work,
 * which adds a few bytes per call to short iterations. This one counts only what the measured threads allocate while
 * they make the calls. It is public because JMH creates it.
 */
public final class AllocatedBytes implements InternalProfiler {

    static final String LABEL = "bytes";

    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private static final LongAdder ALLOCATED = new LongAdder();

    /** Called by JMH. */
    public AllocatedBytes() {}

    /** Starts counting. Each thread calls this before its first call of an iteration. */
    static void begin() {
        ALLOCATED.add(-THREADS.getCurrentThreadAllocatedBytes());
    }

    /** Stops counting. Each thread calls this after its last call of an iteration. */
    static void end() {
        ALLOCATED.add(THREADS.getCurrentThreadAllocatedBytes());
    }

    @Override
    public String getDescription() {
        return "bytes allocated by the measured threads";
    }

    @Override
    public void beforeIteration(BenchmarkParams benchmark, IterationParams iteration) {
        ALLOCATED.reset();
    }

    @Override
    public Collection<ScalarResult> afterIteration(
            BenchmarkParams benchmark, IterationParams iteration, IterationResult result) {
        double bytes = ALLOCATED.sum() / (double) result.getMetadata().getAllOps();
        return List.of(new ScalarResult(LABEL, bytes, "B/op", AggregationPolicy.AVG));
    }
}
