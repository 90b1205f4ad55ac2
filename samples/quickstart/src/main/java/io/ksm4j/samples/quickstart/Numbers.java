// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.quickstart;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeOutcome;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.KsmActivity;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.stats.RegionStats;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.SplittableRandom;

/** Marks copies, unique data and constantly changing data, and prints every number about how they merge. */
public final class Numbers {

    private static final int SIZE = 16 << 20;
    private static final long SEED = 20261121;
    private static final RegionOptions SMALL_PAGES = RegionOptions.DEFAULT.withHugePages(HugePages.AVOID);
    private static final Duration TIMEOUT = Duration.ofMinutes(1);

    /** Long enough for the JVM to compile the code that reads. */
    private static final Duration WARM_UP = Duration.ofMillis(300);

    /** The numbers of open regions for which the cost of reading is measured. */
    private static final List<Integer> REGIONS = List.of(10, 100, 1_000);

    private final Ksm ksm = Ksm.systemOrFallback();
    private final List<MergeRegion> regions = new ArrayList<>();

    private Numbers() {}

    /**
     * Runs the sample.
     *
     * @param args none
     * @throws InterruptedException if the thread is interrupted
     */
    public static void main(String[] args) throws InterruptedException {
        if (args.length > 0) {
            System.err.println("usage: numbers");
            System.exit(2);
        }
        new Numbers().run();
    }

    private void run() throws InterruptedException {
        if (!ksm.support().canMark()) {
            ksm.support().obstacles().forEach(obstacle -> System.out.println(obstacle.explanation()));
            return;
        }
        try {
            if (KsmDaemon.system().mayChange()) {
                // With smart_scan, unique pages that are skipped would be counted as volatile.
                KsmSession fast = FastKsmd.borrow(KsmSettings.EMPTY.with(KsmSetting.SMART_SCAN, 0));
                try {
                    merge();
                } finally {
                    fast.close();
                }
            } else {
                merge();
            }
            printCost();
        } finally {
            regions.forEach(MergeRegion::close);
        }
    }

    private void merge() throws InterruptedException {
        // Read first: on a busy machine, ksmd may be done before the last region is filled.
        KsmStats before = KsmStats.read();
        List<MergeRegion> copies = List.of(open("copy 1", SEED), open("copy 2", SEED), open("copy 3", SEED));
        open("unique", SEED + 1);
        MergeRegion busy = open("busy", SEED + 2);
        Thread writer = new Thread(() -> keepWriting(busy), "writer");
        // The JVM can exit if something fails before this thread is ended.
        writer.setDaemon(true);
        writer.start();
        MergeOutcome outcome = ksm.awaitMerged(copies, 1, TIMEOUT);
        System.out.printf(
                Locale.ROOT,
                "3 copies, waited for: %s after %.1f s and %d full scans%n",
                outcome.end(),
                outcome.waited().toMillis() / 1e3,
                outcome.fullScans().orElse(0));
        printMachine(KsmStats.read(), before);
        printProcess(ProcessKsmStats.read());
        printRegions();
        printAdvice();
        writer.interrupt();
        writer.join();
    }

    private MergeRegion open(String name, long seed) {
        MergeRegion region = ksm.allocate(SIZE, SMALL_PAGES.withName(name));
        SplittableRandom random = new SplittableRandom(seed);
        ByteBuffer buffer = region.buffer();
        while (buffer.hasRemaining()) {
            buffer.putLong(random.nextLong());
        }
        regions.add(region);
        return region;
    }

    /** Changes every page repeatedly. */
    private static void keepWriting(MergeRegion region) {
        ByteBuffer buffer = region.buffer();
        for (long round = 0; !Thread.currentThread().isInterrupted(); round++) {
            for (int at = 0; at < buffer.capacity(); at += 4096) {
                buffer.putLong(at, round);
            }
        }
    }

    private static void printMachine(KsmStats now, KsmStats before) {
        System.out.println("\nmachine");
        print("pages_shared", now.pagesShared());
        print("pages_sharing", now.pagesSharing());
        print("pages_unshared", now.pagesUnshared());
        print("pages_volatile", now.pagesVolatile());
        printBytes("used", now.usedBytes());
        printBytes("saved", now.savedBytes());
        printBytes("profit", now.profitBytes());
        printBytes("general_profit", now.generalProfit());
        print("sharing ratio", now.sharingRatio());
        print("wasted effort", now.wastedEffort());
        print("volatile share", now.volatileShare());
        KsmActivity activity = now.since(before);
        print("full scans", activity.fullScans());
        print("pages scanned/s", activity.pagesPerSecond());
        activity.fullScanTime().ifPresent(time -> print("ms for a full scan", OptionalLong.of(time.toMillis())));
        print("copies on write", activity.copiesOnWrite());
    }

    private static void printProcess(ProcessKsmStats process) {
        System.out.println("\nthis process");
        print("ksm_rmap_items", process.rmapItems());
        print("ksm_merging_pages", process.mergingPages());
        print("records per merged page", process.rmapItemsPerMergedPage());
        printBytes("merged", process.mergedBytes());
        printBytes("profit", process.profitBytes());
    }

    private void printRegions() {
        System.out.println("\nregions, MiB");
        printRow("", "resident", "marked", "merged", "saved");
        ksm.stats(regions).forEach((region, stats) -> printRow(region.owner(), stats));
        RegionStats all = ksm.stats();
        printRow("all", all);
        new MemoryUsage(all).explain("merged");
    }

    private static void printRow(String name, RegionStats stats) {
        printRow(
                name,
                mebibytes(stats.residentBytes()),
                mebibytes(stats.markedBytes()),
                stats.mergedBytes().isPresent() ? mebibytes(stats.mergedBytes().getAsLong()) : "not known",
                mebibytes(stats.savedBytes()));
    }

    private static void printRow(String name, String... cells) {
        System.out.println(String.format("  %-24s%10s%10s%10s%10s", name, cells[0], cells[1], cells[2], cells[3]));
    }

    private void printAdvice() {
        System.out.println("\nadvice, for data that lives ten minutes");
        List<Finding> findings = ksm.advice(Duration.ofMinutes(10));
        findings.forEach(finding -> System.out.println("  " + finding.kind() + ": " + finding.explanation()));
        if (findings.isEmpty()) {
            System.out.println("  none");
        }
    }

    /** Prints the median times of reading the statistics. */
    private void printCost() {
        System.out.println("\ncost of reading");
        System.out.printf(Locale.ROOT, "  %-32s%8.2f ms%n", "KsmStats.read()", medianMillis(KsmStats::read));
        List<MergeRegion> small = new ArrayList<>();
        for (int count : REGIONS) {
            while (small.size() < count) {
                small.add(ksm.allocate(ksm.pageSize()));
            }
            System.out.printf(
                    Locale.ROOT, "  %-32s%8.2f ms%n", "Ksm.stats(), " + count + " regions", medianMillis(ksm::stats));
        }
        try (MergeRegion large = ksm.allocate(
                1L << 30, SMALL_PAGES.withMarking(Marking.UNMERGEABLE).withPopulate(true))) {
            System.out.printf(
                    Locale.ROOT,
                    "  %-32s%8.2f ms%n",
                    "the same, and " + mebibytes(large.size()) + " MiB more",
                    medianMillis(ksm::stats));
        }
        small.forEach(MergeRegion::close);
    }

    private static double medianMillis(Runnable reading) {
        long warm = System.nanoTime() + WARM_UP.toNanos();
        while (System.nanoTime() < warm) {
            reading.run();
        }
        long[] nanos = new long[21];
        for (int i = 0; i < nanos.length; i++) {
            long start = System.nanoTime();
            reading.run();
            nanos[i] = System.nanoTime() - start;
        }
        Arrays.sort(nanos);
        return nanos[nanos.length / 2] / 1e6;
    }

    private static void print(String name, OptionalLong number) {
        printLine(name, number.isPresent() ? Long.toString(number.getAsLong()) : "not available on this kernel");
    }

    private static void print(String name, OptionalDouble number) {
        printLine(name, number.isPresent() ? String.format(Locale.ROOT, "%.2f", number.getAsDouble()) : "none");
    }

    private static void printBytes(String name, OptionalLong bytes) {
        printLine(name, bytes.isPresent() ? mebibytes(bytes.getAsLong()) + " MiB" : "not available on this kernel");
    }

    private static void printLine(String name, String value) {
        System.out.println(String.format("  %-24s%14s", name, value));
    }

    private static String mebibytes(long bytes) {
        return MemoryUsage.mebibytes(bytes);
    }
}
