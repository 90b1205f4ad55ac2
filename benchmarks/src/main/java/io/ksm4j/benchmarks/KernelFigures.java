package io.ksm4j.benchmarks;

import io.ksm4j.Ksm;
import io.ksm4j.junit.RunningKsmd;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.ToDoubleFunction;

/**
 * Merging, unmerging and copy-on-write, as the kernel's self-test {@code ksm_tests} defines them with its options P, D and C: from
 * Java and from C in turn.
 *
 * <p>The self-test starts {@code ksmd} within the time it takes. Here {@code ksmd} runs, and sleeps because nothing is marked, until the
 * mark wakes it. So its first scan begins with the mark in either case, and C need not change settings that Java has borrowed.
 */
final class KernelFigures implements Part {

    /** Runs one step, which may need those before it. */
    interface Side {

        /** Returns nanoseconds. */
        long run(String step, long size) throws IOException;
    }

    /** One step of one round, in nanoseconds. */
    private record Pair(long java, long c) {

        double ratio() {
            return (double) java / c;
        }
    }

    /** As many as the self-test has. The n-th pair differs from the others in its first n bytes, so there is an end to them. */
    private static final int PAGES_TO_WRITE = 4000;

    private static final double GOAL = 1.02;

    /** How many pages may share one, by the kernel's default, which nobody changes in passing. */
    private static final int MAX_PAGE_SHARING = 256;

    private static final long IDLE_NANOS = TimeUnit.MILLISECONDS.toNanos(10);
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(30);

    private final Ksmd ksmdThread = new Ksmd();

    @Override
    public PartReport measure(Length length) throws Exception {
        long page = Ksm.system().pageSize();
        long mergeSize = length.of(8L, 128L, 256L) << 20;
        long writeSize = PAGES_TO_WRITE * page;
        try (RunningKsmd ksmd = RunningKsmd.start();
                CProgram c = CProgram.start("kernel.c");
                KernelRegion java = new KernelRegion(Ksm.system(), ksmd)) {
            warmUp(java, writeSize, length.of(20, 1000, 1000));
            Experiment merging = new Experiment(
                    length != Length.INSTANT,
                    ksmd,
                    java,
                    c::run,
                    List.of("merge", "unmerge"),
                    "merge",
                    mergeSize,
                    mergeSize / page * (MAX_PAGE_SHARING - 1) / MAX_PAGE_SHARING);
            Experiment writing = new Experiment(
                    length != Length.INSTANT,
                    ksmd,
                    java,
                    c::run,
                    List.of("write", "prepare", "copy-on-write"),
                    "prepare",
                    writeSize,
                    PAGES_TO_WRITE / 2);
            Map<String, List<Pair>> pairs = new LinkedHashMap<>();
            pairs.putAll(measure(merging, length.of(1, 15, 100)));
            pairs.putAll(measure(writing, length.of(1, 60, 400)));
            return report(pairs, mergeSize, writeSize);
        }
    }

    /** Has the loop over the pages compiled. */
    private static void warmUp(KernelRegion java, long size, int times) {
        for (int i = 0; i < times; i++) {
            java.run("write", size);
        }
    }

    /**
     * Steps one after the other on each side.
     *
     * @param isMeasured false in a test, where the figures say nothing, so that other memory may be in the way
     * @param mergingStep after which so many pages must share others, or something else was in the way
     */
    private record Experiment(
            boolean isMeasured,
            RunningKsmd ksmd,
            Side java,
            Side c,
            List<String> steps,
            String mergingStep,
            long size,
            long pagesToShare) {}

    private Map<String, List<Pair>> measure(Experiment experiment, int rounds) throws IOException {
        Map<String, List<Pair>> pairs = new LinkedHashMap<>();
        experiment.steps().forEach(step -> pairs.put(step, new ArrayList<>()));
        int disturbed = 0;
        // The first round is not counted.
        for (int round = 0; round <= rounds; ) {
            boolean javaFirst = round % 2 == 0;
            List<Long> early = steps(experiment, javaFirst ? experiment.java() : experiment.c());
            List<Long> late = steps(experiment, javaFirst ? experiment.c() : experiment.java());
            if (early.isEmpty() || late.isEmpty()) {
                if (++disturbed > rounds + 10) {
                    throw new IllegalStateException("ksmd has so much else to scan that after two scans "
                            + experiment.mergingStep() + " has never merged its pages: end what is mergeable here");
                }
                continue;
            }
            for (int i = 0; round > 0 && i < early.size(); i++) {
                pairs.get(experiment.steps().get(i))
                        .add(new Pair((javaFirst ? early : late).get(i), (javaFirst ? late : early).get(i)));
            }
            round++;
        }
        System.out.println(
                String.join(", ", experiment.steps()) + ": " + rounds + " rounds, " + disturbed + " more disturbed");
        return pairs;
    }

    /** The nanoseconds of each step; empty if other memory was in the way. */
    private List<Long> steps(Experiment experiment, Side side) throws IOException {
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

    /** Until {@code ksmd} has seen that what was marked is gone, and sleeps. */
    private void awaitIdle() {
        long end = System.nanoTime() + PATIENCE_NANOS;
        double before = Double.NaN;
        for (double now = ksmdThread.seconds(); now != before; now = ksmdThread.seconds()) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("ksmd does not come to rest: something else here is mergeable");
            }
            before = now;
            LockSupport.parkNanos(IDLE_NANOS);
        }
    }

    private static PartReport report(Map<String, List<Pair>> pairs, long mergeSize, long writeSize) {
        StringBuilder text = new StringBuilder(String.format(Locale.ROOT, """
                As the options P, D and C of `tools/testing/selftests/mm/ksm_tests.c` have it. Merging is timed from the mark until `ksmd`, at
                full tilt and asleep before, has made two full scans: the first sees each page, the second merges it. All pages are equal.
                Unmerging is `MADV_UNMERGEABLE` for them, from Java with the look at the memory that is left. Then one byte is written to every
                second of %d pages: before anything has merged, and after each has merged with its neighbour, so that each write makes the
                kernel copy a page. Java and C take turns, and lay the memory out alike. A ratio is the median of the rounds' ratios; in
                brackets are the ends of the middle half of them.

                | | MiB | C, MiB/s | Java, MiB/s | Java's time, by C's | Rounds |
                | --- | --- | --- | --- | --- | --- |
                """, PAGES_TO_WRITE));
        text.append(row("Merging", pairs.get("merge"), mergeSize));
        text.append(row("Unmerging", pairs.get("unmerge"), mergeSize));
        text.append(row("Writing to private pages", pairs.get("write"), writeSize / 2));
        text.append(row("Writing to merged pages", pairs.get("copy-on-write"), writeSize / 2));
        return new PartReport(
                text.toString(),
                Map.of(),
                List.of(
                        Target.atMost("kernel-merge", median(pairs.get("merge"), Pair::ratio), GOAL),
                        Target.atMost("kernel-unmerge", median(pairs.get("unmerge"), Pair::ratio), GOAL),
                        Target.atMost("kernel-copy-on-write", median(pairs.get("copy-on-write"), Pair::ratio), GOAL)));
    }

    private static String row(String name, List<Pair> pairs, long size) {
        double mebibytes = size / (double) (1 << 20);
        return String.format(
                Locale.ROOT,
                "| %s | %.1f | %.0f | %.0f | %.3f (%.3f, %.3f) | %d |%n",
                name,
                mebibytes,
                mebibytes / (median(pairs, Pair::c) / 1e9),
                mebibytes / (median(pairs, Pair::java) / 1e9),
                median(pairs, Pair::ratio),
                quantile(pairs, Pair::ratio, 0.25),
                quantile(pairs, Pair::ratio, 0.75),
                pairs.size());
    }

    private static double median(List<Pair> pairs, ToDoubleFunction<Pair> value) {
        return quantile(pairs, value, 0.5);
    }

    /** Between two values, in proportion. */
    private static double quantile(List<Pair> pairs, ToDoubleFunction<Pair> value, double share) {
        double[] sorted = pairs.stream().mapToDouble(value).sorted().toArray();
        double at = share * (sorted.length - 1);
        int below = (int) at;
        int above = Math.min(below + 1, sorted.length - 1);
        return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
    }
}
