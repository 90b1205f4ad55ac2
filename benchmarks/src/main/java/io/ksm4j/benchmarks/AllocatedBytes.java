package io.ksm4j.benchmarks;

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
 * Bytes that a call allocates on the heap. JMH's own profiler counts the whole JVM, its own work included, which is a few bytes for
 * each of a short iteration's calls; this one counts what the threads allocate that make the calls, while they make them. Public,
 * because JMH is to create it.
 */
public final class AllocatedBytes implements InternalProfiler {

    static final String LABEL = "bytes";

    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private static final LongAdder ALLOCATED = new LongAdder();

    /** What JMH needs. */
    public AllocatedBytes() {}

    /** To be called by each thread before its first call of an iteration. */
    static void begin() {
        ALLOCATED.add(-THREADS.getCurrentThreadAllocatedBytes());
    }

    /** To be called by each thread after its last call of an iteration. */
    static void end() {
        ALLOCATED.add(THREADS.getCurrentThreadAllocatedBytes());
    }

    @Override
    public String getDescription() {
        return "bytes allocated by the threads that are measured";
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
