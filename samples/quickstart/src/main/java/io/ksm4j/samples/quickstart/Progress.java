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

/** Watches what regions save, until nothing more can come. */
final class Progress {

    /**
     * The first scan records a page, the second merges it, and the one that was under way before counts for neither. So when
     * the third has ended, all that had not changed meanwhile has merged.
     */
    private static final int SCANS = 3;

    private static final Duration PATIENCE = Duration.ofMinutes(2);
    private static final Duration BETWEEN_LOOKS = Duration.ofMillis(50);
    private static final Duration FIRST_LINE = Duration.ofMillis(250);

    private final Ksm ksm;
    private final List<MergeRegion> regions;
    private final boolean terminal = isTerminal();
    private final long start = System.nanoTime();
    private long lastGain = start;
    private long nextLine = start + FIRST_LINE.toNanos();

    Progress(Ksm ksm, List<MergeRegion> regions) {
        this.ksm = ksm;
        this.regions = regions;
    }

    /** From the start to the last time that something more was saved. */
    String seconds() {
        return String.format(Locale.ROOT, "%.1f", (lastGain - start) / 1e9);
    }

    void await() {
        long quietSince = KsmStats.read().fullScans().orElse(0);
        long saved = 0;
        while (true) {
            LockSupport.parkNanos(BETWEEN_LOOKS.toNanos());
            KsmStats ksmd = KsmStats.read();
            long scans = ksmd.fullScans().orElse(0);
            Quickstart.Usage usage = Quickstart.Usage.of(ksm, regions);
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
                end("Somebody stopped ksmd meanwhile: not all of it has merged.");
                return;
            }
            if (now - start > PATIENCE.toNanos()) {
                end("Gave up after " + PATIENCE.toMinutes() + " minutes: ksmd is slow, not all of it has merged.");
                return;
            }
        }
    }

    private void show(long now, long scans, long saved) {
        if (terminal || now >= nextLine) {
            // Ever more seldom: a file keeps all the lines.
            nextLine = now + (now - start);
            String line = String.format(
                    Locale.ROOT,
                    "%5.1f s, full scan %d: saved %s MiB",
                    (now - start) / 1e9,
                    scans,
                    Quickstart.mebibytes(saved));
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

    /** Not System.console(): later Javas have one where output goes to a file. */
    private static boolean isTerminal() {
        try {
            String stdout = Files.readSymbolicLink(Path.of("/proc/self/fd/1")).toString();
            return stdout.startsWith("/dev/pts/") || stdout.startsWith("/dev/tty") || stdout.equals("/dev/console");
        } catch (IOException e) {
            return false;
        }
    }
}
