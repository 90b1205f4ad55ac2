package io.ksm4j.it;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.control.KsmTuner;
import io.ksm4j.control.TuningPolicy;
import io.ksm4j.junit.RunningKsmd;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongUnaryOperator;

/**
 * Measures what {@code converge} promises, with 1 GiB in four equal parts: how long until 99 % are merged, at full tilt and under the
 * tuner; what {@code ksmd} takes until then; and what it takes a minute later.
 *
 * <p>Takes three minutes, root, and a machine with nothing else to merge. Prints a line each.
 */
final class TunerTargets {

    private static final long SIZE = 1L << 30;
    private static final int COPIES = 4;

    private static final KsmSettings IDLE = KsmSettings.EMPTY
            .with(KsmSetting.RUN, 0)
            .with(KsmSetting.PAGES_TO_SCAN, 100)
            .with(KsmSetting.SLEEP_MILLISECS, 20);

    private final Ksm ksm = Ksm.system();
    private final RunningKsmd lock;

    private TunerTargets(RunningKsmd lock) {
        this.lock = lock;
    }

    /** Measures. Arguments: seconds until {@code ksmd} must be idle, 60 if there are none. */
    public static void main(String[] args) throws IOException, InterruptedException {
        long rest = args.length == 0 ? 60 : Long.parseLong(args[0]);
        try (RunningKsmd lock = RunningKsmd.start()) {
            TunerTargets targets = new TunerTargets(lock);
            for (int run = 0; run < 3; run++) {
                try (Copies copies = targets.copies()) {
                    double before = ksmdSeconds();
                    double took = targets.merge(copies);
                    System.out.printf(
                            "full tilt: 99 %% after %.2f s, ksmd took %.2f s%n", took, ksmdSeconds() - before);
                }
                KsmSession idle = KsmDaemon.system().borrow(IDLE);
                try {
                    targets.converge(1, run == 0 ? rest : 0);
                } finally {
                    idle.close();
                }
            }
            targets.converge(0.5, 0);
            targets.converge(0.2, 0);
        }
    }

    private void converge(double share, long rest) throws IOException, InterruptedException {
        try (KsmTuner tuner = KsmTuner.start(KsmDaemon.system(), TuningPolicy.converge(share));
                Copies copies = copies()) {
            // Until the tuner has found that there is nothing to scan.
            TimeUnit.SECONDS.sleep(4);
            double before = ksmdSeconds();
            double took = merge(copies);
            double used = ksmdSeconds() - before;
            System.out.printf(
                    "converge(%.1f): 99 %% after %.2f s, ksmd took %.2f s, %.3f of a core%n",
                    share, took, used, used / took);
            if (rest > 0) {
                TimeUnit.SECONDS.sleep(rest);
                double from = ksmdSeconds();
                TimeUnit.SECONDS.sleep(10);
                System.out.printf(
                        "%d s later: ksmd takes %.4f of a core, tuner running: %s%n",
                        rest, (ksmdSeconds() - from) / 10, tuner.isRunning());
            }
        }
    }

    /** Marks them and waits. */
    private double merge(Copies copies) {
        long before = merged();
        long wanted = before + SIZE / ksm.pageSize() * 99 / 100;
        long start = System.nanoTime();
        ksm.markMergeable(copies.regions);
        while (merged() < wanted) {
            if (System.nanoTime() - start > TimeUnit.MINUTES.toNanos(2)) {
                return Double.NaN;
            }
            LockSupport.parkNanos(2_000_000);
        }
        return seconds(System.nanoTime() - start);
    }

    private long merged() {
        return lock.read("pages_shared") + lock.read("pages_sharing");
    }

    private static double seconds(long nanos) {
        return nanos / 1e9;
    }

    /** Nanoseconds on the processor are the first number of schedstat. */
    private static double ksmdSeconds() throws IOException {
        try (var processes = Files.newDirectoryStream(Path.of("/proc"), "[0-9]*")) {
            for (Path process : processes) {
                Path name = process.resolve("comm");
                if (Files.exists(name) && Files.readString(name).equals("ksmd\n")) {
                    return seconds(Long.parseLong(
                            Files.readString(process.resolve("schedstat")).split(" ", -1)[0]));
                }
            }
        }
        throw new IOException("no ksmd in /proc");
    }

    private Copies copies() {
        Pages pages = new Pages(new SecureRandom().nextLong(), ksm.pageSize());
        LongUnaryOperator contents = page -> page;
        List<MergeRegion> regions = new ArrayList<>();
        for (int i = 0; i < COPIES; i++) {
            MergeRegion region = ksm.allocate(
                    SIZE / COPIES,
                    RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE).withHugePages(HugePages.AVOID));
            pages.fill(region, contents);
            regions.add(region);
        }
        return new Copies(regions);
    }

    private record Copies(List<MergeRegion> regions) implements AutoCloseable {
        @Override
        public void close() {
            regions.forEach(MergeRegion::close);
        }
    }
}
