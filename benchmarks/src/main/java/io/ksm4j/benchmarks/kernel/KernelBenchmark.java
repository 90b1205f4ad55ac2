// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.kernel;

import io.ksm4j.Ksm;
import io.ksm4j.benchmarks.CProgram;
import io.ksm4j.benchmarks.KsmdCpuTime;
import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.PerformancePart;
import io.ksm4j.benchmarks.RunLength;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.junit.RunningKsmd;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.ToDoubleFunction;

/**
 * Measures merging, unmerging and copy-on-write as the kernel's self-test {@code ksm_tests} defines them with its
 * options P, D and C, alternating between Java and C.
 *
 * <p>The self-test starts {@code ksmd} within the measured time. Here {@code ksmd} is already running and asleep
 * because nothing is marked, and the mark wakes it. In both cases its first scan begins with the mark, and C does not
 * need to change settings that Java has borrowed.
 */
public final class KernelBenchmark implements PerformancePart {

    /** The nanoseconds of one step in one round. */
    private record Times(long java, long c, long threads) {

        double ratio() {
            return (double) java / c;
        }

        double ratioOfThreads() {
            return (double) threads / c;
        }
    }

    /**
     * The number of pages in the self-test. It is limited, because the n-th pair differs from the others in its first n
     * bytes.
     */
    private static final int PAGES_TO_WRITE = 4000;

    private static final double GOAL = 1.02;

    /** The kernel's default of max_page_sharing, which cannot be changed while pages are merged. */
    private static final int MAX_PAGE_SHARING = 256;

    private static final long IDLE_NANOS = TimeUnit.MILLISECONDS.toNanos(10);
    private static final long TIMEOUT_NANOS = TimeUnit.SECONDS.toNanos(30);

    private final KsmdCpuTime ksmdThread = new KsmdCpuTime();

    @Override
    public PartReport measure(RunLength length) throws Exception {
        long page = Ksm.system().pageSize();
        long mergeSize = length.of(8L, 128L, 256L) << 20;
        long writeSize = PAGES_TO_WRITE * page;
        try (RunningKsmd ksmd = RunningKsmd.start();
                CProgram c = CProgram.start("kernel.c");
                CProgram threads = CProgram.start("kernel.c", "threads");
                JavaKernelSteps java = new JavaKernelSteps(Ksm.system(), ksmd)) {
            warmUp(java, writeSize, length.of(20, 1000, 1000));
            Experiment merging = new Experiment(
                    length != RunLength.INSTANT,
                    ksmd,
                    java,
                    c::run,
                    threads::run,
                    List.of("merge", "unmerge"),
                    "merge",
                    mergeSize,
                    mergeSize / page * (MAX_PAGE_SHARING - 1) / MAX_PAGE_SHARING);
            Experiment writing = new Experiment(
                    length != RunLength.INSTANT,
                    ksmd,
                    java,
                    c::run,
                    threads::run,
                    List.of("write", "prepare", "copy-on-write"),
                    "prepare",
                    writeSize,
                    PAGES_TO_WRITE / 2);
            Map<String, List<Times>> times = new LinkedHashMap<>();
            times.putAll(measure(merging, length.of(1, 15, 100)));
            times.putAll(measure(writing, length.of(1, 60, 400)));
            return report(times, mergeSize, writeSize);
        }
    }

    /** Makes the JVM compile the loop over the pages. */
    private static void warmUp(JavaKernelSteps java, long size, int times) {
        for (int i = 0; i < times; i++) {
            java.run("write", size);
        }
    }

    /**
     * Steps that Java and C run in the same order.
     *
     * @param isMeasured false in a test, where the times are meaningless and other mergeable memory is tolerated
     * @param mergingStep the step after which {@code pagesToShare} pages must be shared; fewer show that other memory
     *     disturbed the round
     */
    private record Experiment(
            boolean isMeasured,
            RunningKsmd ksmd,
            KernelSteps java,
            KernelSteps c,
            KernelSteps threads,
            List<String> steps,
            String mergingStep,
            long size,
            long pagesToShare) {}

    private Map<String, List<Times>> measure(Experiment experiment, int rounds) throws IOException {
        Map<String, List<Times>> times = new LinkedHashMap<>();
        experiment.steps().forEach(step -> times.put(step, new ArrayList<>()));
        int disturbed = 0;
        // The first round is not counted.
        for (int round = 0; round <= rounds; ) {
            List<KernelSteps> sides = new ArrayList<>(List.of(experiment.java(), experiment.c(), experiment.threads()));
            Collections.rotate(sides, round);
            IdentityHashMap<KernelSteps, List<Long>> nanos = new IdentityHashMap<>();
            for (KernelSteps side : sides) {
                nanos.put(side, steps(experiment, side));
            }
            if (nanos.containsValue(List.of())) {
                if (++disturbed > rounds + 10) {
                    throw new IllegalStateException(
                            "ksmd has too much other memory to scan: after two scans the pages of step "
                                    + experiment.mergingStep()
                                    + " were never all merged. End other programs with mergeable memory");
                }
                continue;
            }
            for (int i = 0; round > 0 && i < experiment.steps().size(); i++) {
                times.get(experiment.steps().get(i))
                        .add(new Times(
                                nanos.get(experiment.java()).get(i),
                                nanos.get(experiment.c()).get(i),
                                nanos.get(experiment.threads()).get(i)));
            }
            round++;
        }
        System.out.println(String.join(", ", experiment.steps()) + ": " + rounds + " rounds, and " + disturbed
                + " disturbed ones");
        return times;
    }

    /** Returns the nanoseconds of each step; empty if other memory disturbed the round. */
    private List<Long> steps(Experiment experiment, KernelSteps side) throws IOException {
        if (experiment.isMeasured()) {
            awaitIdle();
        }
        List<Long> nanos = new ArrayList<>();
        boolean isMerged = true;
        for (String step : experiment.steps()) {
            nanos.add(side.run(step, experiment.size()));
            if (step.equals(experiment.mergingStep())) {
                isMerged = experiment.ksmd().read("pages_sharing") >= 0.99 * experiment.pagesToShare();
            }
        }
        return isMerged || !experiment.isMeasured() ? nanos : List.of();
    }

    /** Waits until {@code ksmd} has noticed that no memory is marked any more, and sleeps. */
    private void awaitIdle() {
        long end = System.nanoTime() + TIMEOUT_NANOS;
        double before = Double.NaN;
        for (double now = ksmdThread.seconds(); now != before; now = ksmdThread.seconds()) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("ksmd does not go idle: other memory on this machine is mergeable");
            }
            before = now;
            LockSupport.parkNanos(IDLE_NANOS);
        }
    }

    private static PartReport report(Map<String, List<Times>> times, long mergeSize, long writeSize) {
        StringBuilder text = new StringBuilder(String.format(Locale.ROOT, """
                The operations are those of the options P, D and C of `tools/testing/selftests/mm/ksm_tests.c`. Merging
                is timed from the mark until `ksmd`, which slept before and then scans as fast as possible, has made two
                full scans: the first records each page, the second merges it. All pages are equal. Unmerging is
                `MADV_UNMERGEABLE` for these pages; in Java it includes the check of the memory left. Then one byte is
                written to every second of %d pages: before anything has merged, and after each page has merged with its
                neighbour, so that each write makes the kernel copy a page. Java and C take turns and use the same
                memory layout. A ratio is the median of the rounds' ratios; the first and third quartiles are in
                parentheses. The last ratio is that of C with a second thread, which does nothing but wake up every
                millisecond, to C with one: the kernel has more to do if several threads share the memory, as in every
                JVM.

                | | MiB | C, MiB/s | Java, MiB/s | Java time / C time | C with two threads / C | Rounds |
                | --- | --- | --- | --- | --- | --- | --- |
                """, PAGES_TO_WRITE));
        text.append(row("Merging", times.get("merge"), mergeSize));
        text.append(row("Unmerging", times.get("unmerge"), mergeSize));
        text.append(row("Writing to private pages", times.get("write"), writeSize / 2));
        text.append(row("Writing to merged pages", times.get("copy-on-write"), writeSize / 2));
        return new PartReport(
                text.toString(),
                Map.of(),
                List.of(
                        Target.maximum("kernel-merge", median(times.get("merge"), Times::ratio), GOAL),
                        Target.maximum("kernel-unmerge", median(times.get("unmerge"), Times::ratio), GOAL),
                        Target.maximum(
                                "kernel-copy-on-write", median(times.get("copy-on-write"), Times::ratio), GOAL)));
    }

    private static String row(String name, List<Times> times, long size) {
        double mebibytes = size / (double) (1 << 20);
        return String.format(
                Locale.ROOT,
                "| %s | %.1f | %.0f | %.0f | %.3f (%.3f, %.3f) | %.3f (%.3f, %.3f) | %d |%n",
                name,
                mebibytes,
                mebibytes / (median(times, Times::c) / 1e9),
                mebibytes / (median(times, Times::java) / 1e9),
                median(times, Times::ratio),
                quantile(times, Times::ratio, 0.25),
                quantile(times, Times::ratio, 0.75),
                median(times, Times::ratioOfThreads),
                quantile(times, Times::ratioOfThreads, 0.25),
                quantile(times, Times::ratioOfThreads, 0.75),
                times.size());
    }

    private static double median(List<Times> times, ToDoubleFunction<Times> value) {
        return quantile(times, value, 0.5);
    }

    /** Returns a quantile, interpolated linearly between two values. */
    private static double quantile(List<Times> times, ToDoubleFunction<Times> value, double share) {
        double[] sorted = times.stream().mapToDouble(value).sorted().toArray();
        double at = share * (sorted.length - 1);
        int below = (int) at;
        int above = Math.min(below + 1, sorted.length - 1);
        return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
    }
}
