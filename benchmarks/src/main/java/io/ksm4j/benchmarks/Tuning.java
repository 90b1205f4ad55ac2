package io.ksm4j.benchmarks;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.junit.RunningKsmd;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Memory saved, and CPU taken, from the moment at which equal memory is marked: for each {@link TuningDriver}.
 *
 * <p>Needs root, and a machine with nothing else to merge. Takes ten minutes, and writes the data, the plot and the table of {@code
 * docs/tuning.md}.
 */
final class Tuning {

    static final int COPIES = 4;

    /** Merged, as the targets have it: this share of what can be saved. */
    static final double ALL = 0.99;

    private static final int ROUNDS = 3;

    private static final Duration A_LITTLE_LATER = Duration.ofSeconds(12);
    private static final Duration A_MINUTE_LATER = Duration.ofSeconds(70);

    private static final KsmSettings AS_FOUND = KsmSettings.EMPTY
            .with(KsmSetting.RUN, 0)
            .with(KsmSetting.PAGES_TO_SCAN, 100)
            .with(KsmSetting.SLEEP_MILLISECS, 20);

    private static final long SAMPLE_NANOS = TimeUnit.MILLISECONDS.toNanos(5);
    private static final double FIRST_SAMPLE = 0.05;
    private static final double SAMPLE_GROWTH = 1.08;

    private final Ksm ksm = Ksm.system();
    private final Ksmd ksmd = new Ksmd();
    private final ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    private final RunningKsmd lock;
    private final long size;
    private final Duration limit;
    private final List<TuningSample> samples = new ArrayList<>();

    /** For equal parts that are {@code size} bytes together, and no run longer than the limit. */
    Tuning(RunningKsmd lock, long size, Duration limit) {
        this.lock = lock;
        this.size = size;
        this.limit = limit;
    }

    /** Measures all and writes what the documents show. The argument is the root of the repository. */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        TuningReport report;
        try (RunningKsmd lock = RunningKsmd.start()) {
            Tuning tuning = new Tuning(lock, 1L << 30, Duration.ofSeconds(200));
            for (int round = 1; round <= ROUNDS; round++) {
                tuning.run(TuningDriver.FULL_TILT, round, A_LITTLE_LATER);
                tuning.run(TuningDriver.CONVERGE, round, round == 1 ? A_MINUTE_LATER : Duration.ZERO);
            }
            for (TuningDriver driver : TuningDriver.values()) {
                switch (driver) {
                    case FULL_TILT, CONVERGE -> {}
                    default -> tuning.run(driver, 1, A_LITTLE_LATER);
                }
            }
            report = new TuningReport(Machine.describe(), tuning.samples);
        }
        report.write(root);
        report.targets().forEach(System.out::println);
    }

    List<TuningSample> samples() {
        return samples;
    }

    /** One run, which ends so long after all is merged. */
    void run(TuningDriver driver, int round, Duration after) throws Exception {
        KsmSession found = KsmDaemon.system().borrow(AS_FOUND);
        List<MergeRegion> copies = new ArrayList<>();
        try (AutoCloseable running = driver.start()) {
            allocate(copies);
            System.out.printf(
                    "%s, round %d: %s%n",
                    driver.label(), round, running.getClass().getSimpleName());
            sample(driver, round, after, copies);
        } finally {
            copies.forEach(MergeRegion::close);
            found.close();
        }
    }

    private void sample(TuningDriver driver, int round, Duration after, List<MergeRegion> copies) {
        long savedBefore = pagesSaved();
        double ksmdBefore = ksmd.seconds();
        double tunerBefore = tunerSeconds();
        double most = (double) size / ksm.pageSize() * (COPIES - 1) / COPIES;
        double end = seconds(limit);
        double next = FIRST_SAMPLE;
        boolean isMerged = false;
        double now = 0;
        long start = System.nanoTime();
        ksm.markMergeable(copies);
        do {
            LockSupport.parkNanos(SAMPLE_NANOS);
            now = (System.nanoTime() - start) / 1e9;
            double saved = (pagesSaved() - savedBefore) / most;
            boolean becameMerged = !isMerged && saved >= ALL;
            if (becameMerged || now >= next || now >= end) {
                samples.add(new TuningSample(
                        driver.label(), round, now, saved, ksmd.seconds() - ksmdBefore, tunerSeconds() - tunerBefore));
                next = Math.max(now + FIRST_SAMPLE, now * SAMPLE_GROWTH);
            }
            if (becameMerged) {
                isMerged = true;
                end = Math.min(end, now + seconds(after));
            }
        } while (now < end);
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

    /** Filled with random bytes, the same in each part, and not marked yet. */
    private void allocate(List<MergeRegion> copies) throws IOException {
        byte[] page = new byte[Math.toIntExact(ksm.pageSize())];
        long seed = new Random().nextLong();
        for (int i = 0; i < COPIES; i++) {
            MergeRegion region = ksm.allocate(
                    size / COPIES,
                    RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE).withHugePages(HugePages.AVOID));
            copies.add(region);
            Random random = new Random(seed);
            for (long at = 0; at < region.size(); at += page.length) {
                random.nextBytes(page);
                ByteBuffer target = region.buffer(at, page.length);
                target.put(page);
            }
        }
    }
}
