// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.MergeOutcome.End;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.RegionStats;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Waits for regions to merge. The kernel has no notification for merged pages or the end of a scan, so we poll its
 * counters, and read the regions' statistics when a counter has changed. Each pause is nine times as long as the
 * reading took.
 */
final class MergeWait {

    private static final long MIN_PAUSE_NANOS = 1_000_000;

    /**
     * The current scan may have passed a page already; the next one records it, the one after merges it; one to spare.
     */
    private static final long SCANS_TO_SETTLE = 4;

    /**
     * With {@code smart_scan}, two pages merge only in a scan that skips neither. A page that never merged is scanned
     * in scans 1, 2, 3, 4, 6, 9, 14 and 23 after it was first seen, and in every ninth from then on (seen in Linux
     * 6.18).
     */
    private static final long SCANS_TO_SETTLE_WITH_SKIPS = 23 + 9;

    private final List<RegionState> regions;
    private final double share;
    private final long timeoutNanos;
    private final long started = System.nanoTime();

    private OptionalLong firstScan = OptionalLong.empty();
    private long merged = -1;
    private long mergedSinceScan;

    MergeWait(List<RegionState> regions, double share, Duration timeout) {
        if (!(share > 0 && share <= 1)) {
            throw new IllegalArgumentException("invalid share " + share + ": must be above 0 and at most 1");
        }
        if (timeout.isNegative()) {
            throw new IllegalArgumentException("invalid timeout " + timeout + ": must not be negative");
        }
        this.regions = regions;
        this.share = share;
        this.timeoutNanos = nanos(timeout);
    }

    private static long nanos(Duration timeout) {
        try {
            return timeout.toNanos();
        } catch (ArithmeticException centuries) {
            return Long.MAX_VALUE;
        }
    }

    MergeOutcome run() throws InterruptedException {
        KsmStats before = null;
        RegionStats stats = RegionStats.NONE;
        while (true) {
            if (Thread.interrupted()) {
                throw new InterruptedException();
            }
            requireOpen();
            long readAt = System.nanoTime();
            boolean timeIsUp = readAt - started >= timeoutNanos;
            KsmStats kernel = KsmStats.read();
            if (firstScan.isEmpty()) {
                firstScan = kernel.fullScans();
            }
            if (before == null || timeIsUp || !kernel.isAvailable() || haveChanged(before, kernel)) {
                stats = RegionState.stats(regions).stream()
                        .reduce(RegionStats::plus)
                        .orElse(RegionStats.NONE);
                before = kernel;
            }
            End end = end(kernel, stats, timeIsUp);
            long now = System.nanoTime();
            if (end != null) {
                return new MergeOutcome(end, stats, scansSinceFirst(kernel), Duration.ofNanos(now - started));
            }
            TimeUnit.NANOSECONDS.sleep(Math.min(pauseNanos(now - readAt), timeoutNanos - (now - started)));
        }
    }

    /** Has no maximum: with hundreds of GiB, reading takes seconds and loads the whole process. */
    static long pauseNanos(long readNanos) {
        return Math.max(MIN_PAUSE_NANOS, 9 * readNanos);
    }

    /**
     * Needed because the regions are read only when a counter changes, which may take as long as {@code ksmd} sleeps.
     */
    private void requireOpen() {
        for (RegionState region : regions) {
            if (!region.isOpen()) {
                throw region.closedException();
            }
        }
    }

    private static boolean haveChanged(KsmStats before, KsmStats now) {
        return !(before.fullScans().equals(now.fullScans())
                && before.pagesSharing().equals(now.pagesSharing())
                && before.pagesShared().equals(now.pagesShared())
                && before.ksmZeroPages().equals(now.ksmZeroPages()));
    }

    private @Nullable End end(KsmStats kernel, RegionStats stats, boolean timeIsUp) {
        if (stats.mergedShare() >= share) {
            return End.REACHED;
        }
        if (stats.markedBytes() == 0) {
            return End.NOT_MARKED;
        }
        if (kernel.run().isPresent() && kernel.run().getAsLong() != 1) {
            return End.KSMD_STOPPED;
        }
        if (kernel.fullScans().isPresent() && hasSettled(kernel, stats)) {
            return End.SETTLED;
        }
        return timeIsUp ? End.TIMED_OUT : null;
    }

    private boolean hasSettled(KsmStats kernel, RegionStats stats) {
        long scan = kernel.fullScans().getAsLong();
        long mergedNow = stats.mergedBytes().orElse(stats.savedBytes())
                + stats.zeroBytes().orElse(0);
        if (mergedNow != merged) {
            merged = mergedNow;
            mergedSinceScan = scan;
        }
        long patience = kernel.smartScan().orElse(0) == 0 ? SCANS_TO_SETTLE : SCANS_TO_SETTLE_WITH_SKIPS;
        return scan - mergedSinceScan >= patience;
    }

    private OptionalLong scansSinceFirst(KsmStats kernel) {
        return kernel.fullScans().isEmpty()
                ? OptionalLong.empty()
                : OptionalLong.of(kernel.fullScans().getAsLong() - firstScan.getAsLong());
    }
}
