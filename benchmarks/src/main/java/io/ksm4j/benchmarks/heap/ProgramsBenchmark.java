// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.heap;

import io.ksm4j.benchmarks.ChildProcess;
import io.ksm4j.benchmarks.Disturbance;
import io.ksm4j.benchmarks.DisturbanceMeter;
import io.ksm4j.benchmarks.GeneratedSection;
import io.ksm4j.benchmarks.KsmdCpuTime;
import io.ksm4j.benchmarks.Median;
import io.ksm4j.benchmarks.heap.DataHoldingJvm.HeldData;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmTuner;
import io.ksm4j.control.TuningPolicy;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.ProcessKsmStats;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.LongSummaryStatistics;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.ToDoubleFunction;

/**
 * Measures what opting in whole JVMs through the agent saves and costs, by where their programs have the data. Writes
 * the table of {@code docs/agent.md}.
 */
final class ProgramsBenchmark {

    private static final int JVMS = 2;
    private static final int ROUNDS = 3;
    private static final Duration UNTIL_MERGED = Duration.ofMinutes(5);
    private static final String FIXED_THRESHOLD = "MALLOC_MMAP_THRESHOLD_=131072";

    /**
     * A kind of program.
     *
     * @param heap the size of the heap as a multiple of the data
     * @param prefix a command that runs {@code java}
     */
    private record Kind(String label, HeldData holding, int heap, List<String> prefix, List<String> options) {

        static Kind onHeap(String label, HeldData holding, int heap, String option) {
            return new Kind(label, holding, heap, List.of(), List.of(option));
        }

        static Kind offHeap(HeldData holding) {
            return new Kind(holding.label(), holding, 2, List.of(), List.of());
        }

        static Kind withFixedThreshold(HeldData holding) {
            return new Kind("the same, with the variable", holding, 2, List.of("env", FIXED_THRESHOLD), List.of());
        }
    }

    private static final List<Kind> KINDS = List.of(
            Kind.onHeap("heap: small objects, G1", HeldData.RECORDS, 4, "-XX:+UseG1GC"),
            Kind.onHeap("heap: small objects, Parallel", HeldData.RECORDS, 4, "-XX:+UseParallelGC"),
            Kind.offHeap(HeldData.DIRECT_BUFFERS),
            Kind.withFixedThreshold(HeldData.DIRECT_BUFFERS),
            Kind.offHeap(HeldData.NATIVE_BLOCKS),
            Kind.withFixedThreshold(HeldData.NATIVE_BLOCKS),
            Kind.offHeap(HeldData.SMALL_NATIVE_BLOCKS),
            Kind.withFixedThreshold(HeldData.SMALL_NATIVE_BLOCKS),
            Kind.onHeap("zeros: an empty heap with `-XX:+AlwaysPreTouch`", HeldData.NOTHING, 1, "-XX:+AlwaysPreTouch"));

    /**
     * All JVMs of a kind together, in bytes, and CPU seconds of {@code ksmd}.
     *
     * @param before the anonymous memory without merging
     * @param after the anonymous memory when no more pages merge, and the records
     * @param records the kernel's records
     * @param cpu what {@code ksmd} took until then
     */
    private record Result(double before, double after, double records, double cpu) {

        long savedPercent() {
            return Math.round(100 * (1 - after / before));
        }
    }

    private final Path agent;
    private final KsmdCpuTime ksmdThread = new KsmdCpuTime();

    ProgramsBenchmark(Path agent) {
        this.agent = agent;
    }

    /**
     * Measures everything and updates the page, unless the run was disturbed. The argument is the root of the
     * repository.
     */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        ProgramsBenchmark benchmark = new ProgramsBenchmark(root.resolve("ksm-agent/target/ksm-agent.jar"));
        String text;
        Disturbance disturbance;
        try (RunningKsmd ksmd = RunningKsmd.start()) {
            DisturbanceMeter meter = DisturbanceMeter.start();
            text = benchmark.measure(ksmd, 256 << 20, ROUNDS);
            disturbance = meter.stop();
        }
        GeneratedSection section = new GeneratedSection(Path.of("docs", "agent.md"), "programs");
        System.exit(section.publish(root, disturbance, text));
    }

    /** Measures all kinds of programs with so much data in each JVM. */
    String measure(RunningKsmd ksmd, long size, int rounds) throws Exception {
        ksmd.set(KsmSetting.RUN, 2);
        StringBuilder text =
                new StringBuilder(String.format(Locale.ROOT, """
                Medians of %d rounds by `./benchmarks/run programs`. In each, %d JVMs of the same program with the\
                 agent
                hold %d MiB of random data, equal in both, or of zeros. *The variable* is `%s`.

                | Where the data is | Saved | Minimum to maximum | Before, MiB | After, MiB | Records, MiB |\
                 `ksmd` CPU, s |
                | --- | --- | --- | --- | --- | --- | --- |
                """, rounds, JVMS, size >> 20, FIXED_THRESHOLD));
        for (Kind kind : KINDS) {
            List<Result> results = new ArrayList<>();
            for (int round = 0; round < rounds; round++) {
                results.add(measure(kind, size));
                System.out.println(kind.label() + ": " + results.get(round));
            }
            text.append(row(kind, results));
        }
        return text.toString();
    }

    private static String row(Kind kind, List<Result> results) {
        LongSummaryStatistics saved =
                results.stream().mapToLong(Result::savedPercent).summaryStatistics();
        return String.format(
                Locale.ROOT,
                "| %s | %.0f %% | %d to %d %% | %.0f | %.0f | %.1f | %.1f |%n",
                kind.label(),
                median(results, Result::savedPercent),
                saved.getMin(),
                saved.getMax(),
                median(results, Result::before) / (1 << 20),
                median(results, Result::after) / (1 << 20),
                median(results, Result::records) / (1 << 20),
                median(results, Result::cpu));
    }

    private static double median(List<Result> results, ToDoubleFunction<Result> number) {
        return Median.of(results.stream().mapToDouble(number).toArray());
    }

    private Result measure(Kind kind, long size) throws Exception {
        List<ChildProcess> jvms = new ArrayList<>();
        try {
            List<String> options = new ArrayList<>(kind.options());
            options.add("-javaagent:" + agent + "=merge=on,fail=true");
            for (int i = 0; i < JVMS; i++) {
                jvms.add(DataHoldingJvm.start(kind.prefix(), options, kind.heap() * size, kind.holding(), size, false));
            }
            for (ChildProcess jvm : jvms) {
                DataHoldingJvm.awaitReady(jvm);
            }
            double before = sum(jvms, "Anonymous");
            double cpu = ksmdThread.seconds();
            CountDownLatch idle = new CountDownLatch(1);
            KsmTuner.Listener listener = (now, decision) -> {
                if (decision.endsAtMark()) {
                    idle.countDown();
                }
            };
            try (KsmTuner tuner = KsmTuner.start(KsmDaemon.system(), TuningPolicy.converge(1), listener)) {
                if (!idle.await(UNTIL_MERGED.toSeconds(), TimeUnit.SECONDS) || !tuner.isRunning()) {
                    throw new IllegalStateException("the tuner has failed, or still finds pages to merge");
                }
                double records = 0;
                for (ChildProcess jvm : jvms) {
                    records += HeapBenchmark.RMAP_ITEM_BYTES
                            * (double) ProcessKsmStats.read(jvm.process().pid())
                                    .rmapItems()
                                    .orElseThrow();
                }
                return new Result(before, sum(jvms, "Pss_Anon") + records, records, ksmdThread.seconds() - cpu);
            }
        } finally {
            jvms.forEach(ChildProcess::close);
        }
    }

    /**
     * Returns the sum of a field of {@code smaps_rollup}. In {@code Pss_Anon}, a page that n processes share counts as
     * one n-th in each; in {@code Anonymous}, it counts in full.
     */
    private static double sum(List<ChildProcess> jvms, String field) throws IOException {
        double bytes = 0;
        for (ChildProcess jvm : jvms) {
            bytes += HeapBenchmark.rollup(jvm.process().pid(), field);
        }
        return bytes;
    }
}
