// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.measurement;

import io.ksm4j.Ksm;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmTuner;
import io.ksm4j.control.TuningPolicy;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.KsmStats;
import java.time.Duration;
import java.util.Deque;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** Runs {@code ksmd} until everything is merged if this user may change its settings; otherwise only watches it. */
public final class KsmdControl {

    /**
     * The full scans without a new merged page that show that merging has settled: the current one, one that records,
     * one that merges.
     */
    private static final int SCANS = 3;

    /** The same with {@code smart_scan}, which skips pages in most scans. */
    private static final int SMART_SCANS = 32;

    private final boolean mayChange = KsmDaemon.system().mayChange();
    private final Duration limit;
    private Duration ksmdTime = Duration.ZERO;

    /**
     * Creates a control.
     *
     * @param limit the maximum wait for merging
     */
    public KsmdControl(Duration limit) {
        this.limit = limit;
    }

    /**
     * Returns how {@code ksmd} is run, in one line.
     *
     * @param when when the sample waits for merging, such as "after each arrival"
     * @return the description
     */
    public String describe(String when) {
        Ksm ksm = Ksm.systemOrFallback();
        if (mayChange && ksm.support().canMark()) {
            return "ksmd: a tuner runs it " + when + ", then restores every setting";
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

    /**
     * Waits until nothing more can merge.
     *
     * @return whether that was reached before the limit
     * @throws InterruptedException if this thread is interrupted
     */
    public boolean awaitSettled() throws InterruptedException {
        if (!Ksm.systemOrFallback().support().canMark()) {
            return true;
        }
        return mayChange ? runTuner() : watch();
    }

    /**
     * Returns the CPU time of {@code ksmd} during all waits so far.
     *
     * @return the time; 0 if this user may not change its settings, or a container hides it
     */
    public Duration ksmdTime() {
        return ksmdTime;
    }

    /** Runs a tuner, which detects itself when scanning no longer saves memory. */
    private boolean runTuner() throws InterruptedException {
        CountDownLatch idle = new CountDownLatch(1);
        Deque<Duration> times = new ConcurrentLinkedDeque<>();
        KsmTuner.Listener listener = (now, decision) -> {
            now.ksmdTime().ifPresent(times::add);
            if (decision.endsAtMark()) {
                idle.countDown();
            }
        };
        try (KsmTuner tuner = KsmTuner.start(KsmDaemon.system(), TuningPolicy.converge(1), listener)) {
            return idle.await(limit.toNanos(), TimeUnit.NANOSECONDS) && tuner.isRunning();
        } finally {
            if (!times.isEmpty()) {
                ksmdTime = ksmdTime.plus(times.getLast()).minus(times.getFirst());
            }
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
