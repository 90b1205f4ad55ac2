// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.benchmarks.Disturbance;
import io.ksm4j.benchmarks.DisturbanceMeter;
import io.ksm4j.benchmarks.KsmdCpuTime;
import io.ksm4j.benchmarks.Machine;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.junit.RunningKsmd;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Measures the memory saved and the CPU time used from the moment at which equal memory is marked, for each
 * {@link TuningDriver}.
 *
 * <p>Needs root and a machine with no other mergeable memory. Takes ten minutes, and writes the data, the plot and the
 * table of {@code docs/tuning.md}.
 */
final class TuningBenchmark {

    private static final long MIB = 1 << 20;

    private static final DataSet DATA = new DataSet(1L << 30, 4, 0);
    private static final Duration LIMIT = Duration.ofSeconds(200);

    private static final int ROUNDS = 3;

    private static final Duration SHORTLY_AFTER = Duration.ofSeconds(12);
    private static final Duration A_MINUTE_AFTER = Duration.ofSeconds(70);

    /** {@code ksmd} stopped, with the kernel's default speed. */
    private static final KsmSettings STOPPED = KsmSettings.EMPTY
            .with(KsmSetting.RUN, 0)
            .with(KsmSetting.PAGES_TO_SCAN, 100)
            .with(KsmSetting.SLEEP_MILLISECS, 20);

    private static final long SAMPLE_NANOS = TimeUnit.MILLISECONDS.toNanos(5);
    private static final double FIRST_SAMPLE = 0.05;
    private static final double SAMPLE_GROWTH = 1.08;

    private final Ksm ksm = Ksm.system();
    private final KsmdCpuTime ksmd = new KsmdCpuTime();
    private final ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    private final RunningKsmd lock;

    TuningBenchmark(RunningKsmd lock) {
        this.lock = lock;
    }

    /**
     * Measures everything and updates the page, unless the run was disturbed. The argument is the root of the
     * repository.
     */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        List<TuningSample> samples = new ArrayList<>();
        Disturbance disturbance;
        try (RunningKsmd lock = RunningKsmd.start()) {
            DisturbanceMeter meter = DisturbanceMeter.start();
            TuningBenchmark tuning = new TuningBenchmark(lock);
            for (int round = 1; round <= ROUNDS; round++) {
                samples.addAll(tuning.run(DATA, TuningDriver.FULL_TILT, round, LIMIT, SHORTLY_AFTER)
                        .samples());
                Duration after = round == 1 ? A_MINUTE_AFTER : Duration.ZERO;
                samples.addAll(tuning.run(DATA, TuningDriver.CONVERGE, round, LIMIT, after)
                        .samples());
            }
            for (TuningDriver driver : TuningDriver.values()) {
                switch (driver) {
                    case FULL_TILT, CONVERGE -> {}
                    default ->
                        samples.addAll(tuning.run(DATA, driver, 1, LIMIT, SHORTLY_AFTER)
                                .samples());
                }
            }
            disturbance = meter.stop();
        }
        TuningReport report = new TuningReport(Machine.describe() + ". " + disturbance.describe(), samples);
        System.out.println(report.table());
        report.targets().forEach(System.out::println);
        String objection = disturbance.objection(TuningReport.PAGE);
        if (!objection.isEmpty()) {
            System.err.println("benchmarks/run tuning: " + objection);
            System.exit(1);
        }
        report.write(root);
    }

    /**
     * Runs a driver until everything is merged, or until the limit, and goes on for {@code after} once everything is
     * merged.
     */
    TuningRun run(DataSet data, TuningDriver driver, int round, Duration limit, Duration after) throws Exception {
        KsmSession session = KsmDaemon.system().borrow(STOPPED);
        List<MergeRegion> copies = new ArrayList<>();
        try (AutoCloseable running = driver.start()) {
            data.allocate(ksm, copies);
            System.out.printf(
                    "%s, round %d: %s, %s%n",
                    data, round, driver.label(), running.getClass().getSimpleName());
            return new TuningRun(sample(driver, round, limit, after, copies, (double) savablePages(data)));
        } finally {
            copies.forEach(MergeRegion::close);
            session.close();
        }
    }

    double savableMib(DataSet data) {
        return (double) savablePages(data) * ksm.pageSize() / MIB;
    }

    private long savablePages(DataSet data) {
        return data.savablePages(ksm.pageSize(), lock.read("max_page_sharing"));
    }

    private List<TuningSample> sample(
            TuningDriver driver,
            int round,
            Duration limit,
            Duration after,
            List<MergeRegion> copies,
            double savablePages) {
        List<TuningSample> samples = new ArrayList<>();
        long savedBefore = pagesSaved();
        double ksmdBefore = ksmd.seconds();
        double tunerBefore = tunerSeconds();
        double end = seconds(limit);
        double next = FIRST_SAMPLE;
        boolean isMerged = false;
        double now = 0;
        long start = System.nanoTime();
        ksm.markMergeable(copies);
        do {
            LockSupport.parkNanos(SAMPLE_NANOS);
            now = (System.nanoTime() - start) / 1e9;
            double saved = (pagesSaved() - savedBefore) / savablePages;
            boolean becameMerged = !isMerged && saved >= TuningRun.MERGED_SHARE;
            if (becameMerged || now >= next || now >= end) {
                samples.add(new TuningSample(
                        driver.label(), round, now, saved, ksmd.seconds() - ksmdBefore, tunerSeconds() - tunerBefore));
                next = Math.max(now + FIRST_SAMPLE, now * SAMPLE_GROWTH);
            }
            if (becameMerged) {
                isMerged = true;
                // The limit applies to merging only.
                end = now + seconds(after);
            }
        } while (now < end);
        return samples;
    }

    private static double seconds(Duration duration) {
        return duration.toNanos() / 1e9;
    }

    private long pagesSaved() {
        return lock.read("pages_sharing");
    }

    private double tunerSeconds() {
        return Thread.getAllStackTraces().keySet().stream()
                        .filter(thread -> thread.getName().equals("ksm4j-tuner"))
                        .mapToLong(thread -> Math.max(0, threads.getThreadCpuTime(thread.threadId())))
                        .sum()
                / 1e9;
    }
}
