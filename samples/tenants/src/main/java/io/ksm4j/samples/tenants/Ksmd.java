package io.ksm4j.samples.tenants;

import io.ksm4j.Ksm;
import io.ksm4j.KsmSupport.Obstacle;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmTuner;
import io.ksm4j.control.TuningPolicy;
import io.ksm4j.stats.KsmStats;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** Merging: driven where this user may do that, watched elsewhere. */
final class Ksmd {

    /** The one under way, one that records, one that merges; with {@code smart_scan}, pages are passed over in most scans. */
    private static final int SCANS = 3;

    private static final int SMART_SCANS = 32;

    private final boolean mayDrive = KsmDaemon.system().mayChange();
    private final Duration limit;

    Ksmd(Duration limit) {
        this.limit = limit;
    }

    /** In one line. */
    String describe() {
        Ksm ksm = Ksm.systemOrFallback();
        if (mayDrive && ksm.support().canMark()) {
            return "ksmd: a tuner drives it after each arrival, then every setting is put back";
        }
        if (ksm.support().canMerge()) {
            KsmStats now = KsmStats.read();
            return "ksmd: this user may not drive it, so it goes on at "
                    + now.pagesToScan().orElse(0) + " pages every "
                    + now.sleepMillisecs().orElse(0) + " ms";
        }
        return "ksmd: nothing will merge here: "
                + ksm.support().obstacles().stream().map(Obstacle::explanation).collect(Collectors.joining("; "));
    }

    /** Waits until no more can merge. Returns false if the time was up before. */
    boolean awaitSettled() throws InterruptedException {
        if (!Ksm.systemOrFallback().support().canMark()) {
            return true;
        }
        return mayDrive ? drive() : watch();
    }

    /** The tuner itself finds out when scanning does not pay any more. */
    private boolean drive() throws InterruptedException {
        CountDownLatch atRest = new CountDownLatch(1);
        KsmTuner.Listener listener = (now, decision) -> {
            if (decision.endsAtMark()) {
                atRest.countDown();
            }
        };
        try (KsmTuner tuner = KsmTuner.start(KsmDaemon.system(), TuningPolicy.converge(1), listener)) {
            return atRest.await(limit.toNanos(), TimeUnit.NANOSECONDS) && tuner.isRunning();
        }
    }

    private boolean watch() throws InterruptedException {
        long end = System.nanoTime() + limit.toNanos();
        long merged = -1;
        long since = 0;
        while (System.nanoTime() < end) {
            KsmStats now = KsmStats.read();
            if (now.run().orElse(0) != 1) {
                return true;
            }
            long scans = now.fullScans().orElse(0);
            if (now.pagesSharing().orElse(0) > merged) {
                merged = now.pagesSharing().orElse(0);
                since = scans;
            } else if (scans - since >= (now.smartScan().orElse(0) == 0 ? SCANS : SMART_SCANS)) {
                return true;
            }
            TimeUnit.MILLISECONDS.sleep(50);
        }
        return false;
    }
}
