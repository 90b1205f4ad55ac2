// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

import io.ksm4j.Ksm;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmTuner;
import io.ksm4j.control.TuningPolicy;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.KsmStats;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** Runs {@code ksmd} until everything is merged if this user may change its settings; otherwise only watches it. */
final class KsmdControl {

    /**
     * The full scans without a new merged page that show that merging has settled: the current one, one that records,
     * one that merges.
     */
    private static final int SCANS = 3;

    /** The same with {@code smart_scan}, which skips pages in most scans. */
    private static final int SMART_SCANS = 32;

    private final boolean mayChange = KsmDaemon.system().mayChange();
    private final Duration limit;

    KsmdControl(Duration limit) {
        this.limit = limit;
    }

    /** Returns how {@code ksmd} is run, in one line. */
    String describe() {
        Ksm ksm = Ksm.systemOrFallback();
        if (mayChange && ksm.support().canMark()) {
            return "ksmd: a tuner runs it after each arrival, then restores every setting";
        }
        if (ksm.support().canMerge()) {
            KsmStats now = KsmStats.read();
            return "ksmd: this user may not change its settings, so it stays at "
                    + now.pagesToScan().orElse(0) + " pages every "
                    + now.sleepMillisecs().orElse(0) + " ms";
        }
        return "ksmd: nothing will merge here: "
                + ksm.support().obstacles().stream().map(Finding::explanation).collect(Collectors.joining("; "));
    }

    /** Waits until nothing more can merge, and returns whether that was reached before the limit. */
    boolean awaitSettled() throws InterruptedException {
        if (!Ksm.systemOrFallback().support().canMark()) {
            return true;
        }
        return mayChange ? runTuner() : watch();
    }

    /** Runs a tuner, which detects itself when scanning no longer saves memory. */
    private boolean runTuner() throws InterruptedException {
        CountDownLatch idle = new CountDownLatch(1);
        KsmTuner.Listener listener = (now, decision) -> {
            if (decision.endsAtMark()) {
                idle.countDown();
            }
        };
        try (KsmTuner tuner = KsmTuner.start(KsmDaemon.system(), TuningPolicy.converge(1), listener)) {
            return idle.await(limit.toNanos(), TimeUnit.NANOSECONDS) && tuner.isRunning();
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
