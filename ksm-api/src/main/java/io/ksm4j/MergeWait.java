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
 * Waits for regions to merge. The kernel has nobody to call when pages merge or a scan ends, so its counters are looked at again
 * and again, and the regions when a counter has moved; always with pauses nine times as long as looking took.
 */
final class MergeWait {

    private static final long LEAST_PAUSE_NANOS = 1_000_000;

    /** The scan under way may have passed a page already, the next records it, the one after that merges it; and one to spare. */
    private static final long SCANS_TO_SETTLE = 4;

    /**
     * With {@code smart_scan}, two pages meet only in a scan that passes over neither. A page that never merged has its turn in scan
     * 1, 2, 3, 4, 6, 9, 14 and 23 since it was first seen, and in every ninth from then on (seen in Linux 6.18).
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
            throw new IllegalArgumentException("share " + share + " is not above 0 and at most 1");
        }
        if (timeout.isNegative()) {
            throw new IllegalArgumentException("timeout " + timeout + " is negative");
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
            long lookedAt = System.nanoTime();
            boolean timeIsUp = lookedAt - started >= timeoutNanos;
            KsmStats kernel = KsmStats.read();
            if (firstScan.isEmpty()) {
                firstScan = kernel.fullScans();
            }
            if (before == null || timeIsUp || !kernel.isAvailable() || hasMoved(before, kernel)) {
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
            TimeUnit.NANOSECONDS.sleep(Math.min(pauseNanos(now - lookedAt), timeoutNanos - (now - started)));
        }
    }

    /** Without an upper limit: where a look takes seconds, as with hundreds of GiB, it is a load on the whole process. */
    static long pauseNanos(long lookNanos) {
        return Math.max(LEAST_PAUSE_NANOS, 9 * lookNanos);
    }

    /** The regions are looked at when a counter moves, which may take {@code ksmd} as long as it sleeps. */
    private void requireOpen() {
        for (RegionState region : regions) {
            if (!region.isOpen()) {
                throw region.closedException();
            }
        }
    }

    private static boolean hasMoved(KsmStats before, KsmStats now) {
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
