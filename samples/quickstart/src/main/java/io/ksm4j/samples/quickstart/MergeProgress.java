// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.quickstart;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.stats.KsmStats;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.locks.LockSupport;

/** Watches the memory that regions save, until nothing more can merge. */
final class MergeProgress {

    /**
     * The full scans without progress after which everything unchanged has merged: the scan already under way does not
     * count, the next one records a page, and the one after that merges it.
     */
    private static final int SCANS = 3;

    private static final Duration TIMEOUT = Duration.ofMinutes(2);
    private static final Duration POLL_INTERVAL = Duration.ofMillis(50);
    private static final Duration FIRST_LINE = Duration.ofMillis(250);

    private final Ksm ksm;
    private final List<MergeRegion> regions;
    private final boolean terminal = isTerminal();
    private final long start = System.nanoTime();
    private long lastGain = start;
    private long nextLine = start + FIRST_LINE.toNanos();

    MergeProgress(Ksm ksm, List<MergeRegion> regions) {
        this.ksm = ksm;
        this.regions = regions;
    }

    /** Returns the seconds from the start to the last increase of the saving. */
    String seconds() {
        return String.format(Locale.ROOT, "%.1f", (lastGain - start) / 1e9);
    }

    void await() {
        long quietSince = KsmStats.read().fullScans().orElse(0);
        long saved = 0;
        while (true) {
            LockSupport.parkNanos(POLL_INTERVAL.toNanos());
            KsmStats ksmd = KsmStats.read();
            long scans = ksmd.fullScans().orElse(0);
            MemoryUsage usage = MemoryUsage.of(ksm, regions);
            long now = System.nanoTime();
            if (usage.saved() > saved) {
                saved = usage.saved();
                lastGain = now;
                quietSince = KsmStats.read().fullScans().orElse(0);
            }
            show(now, scans, saved);
            if (scans >= quietSince + SCANS) {
                end("");
                return;
            }
            if (ksmd.run().orElse(1) != 1) {
                end("ksmd was stopped before everything had merged.");
                return;
            }
            if (now - start > TIMEOUT.toNanos()) {
                end("Gave up after " + TIMEOUT.toMinutes() + " minutes: ksmd is slow, and not everything has merged.");
                return;
            }
        }
    }

    private void show(long now, long scans, long saved) {
        if (terminal || now >= nextLine) {
            // Lines get less and less frequent, because a file keeps all of them.
            nextLine = now + (now - start);
            String line = String.format(
                    Locale.ROOT,
                    "%5.1f s, full scan %d: saved %s MiB",
                    (now - start) / 1e9,
                    scans,
                    MemoryUsage.mebibytes(saved));
            System.out.print(terminal ? String.format("\r%-60s", line) : line + System.lineSeparator());
            System.out.flush();
        }
    }

    private void end(String message) {
        if (terminal) {
            System.out.println();
        }
        if (!message.isEmpty()) {
            System.out.println(message);
        }
    }

    /** Does not use System.console(), which newer Java versions return even if output goes to a file. */
    private static boolean isTerminal() {
        try {
            String stdout = Files.readSymbolicLink(Path.of("/proc/self/fd/1")).toString();
            return stdout.startsWith("/dev/pts/") || stdout.startsWith("/dev/tty") || stdout.equals("/dev/console");
        } catch (IOException e) {
            return false;
        }
    }
}
