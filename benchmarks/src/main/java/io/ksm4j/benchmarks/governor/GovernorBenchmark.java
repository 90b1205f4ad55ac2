// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.governor;

import io.ksm4j.GovernorOptions;
import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeGovernor;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.benchmarks.Disturbance;
import io.ksm4j.benchmarks.DisturbanceMeter;
import io.ksm4j.benchmarks.GeneratedSection;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.stats.RegionStats;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/**
 * Measures the sizing example in which records take up most of the saving, scaled down: 8 tenants with 128 MiB each, of
 * which 4 MiB are equal. Writes the table of {@code docs/operations.md}.
 */
final class GovernorBenchmark {

    private static final int TENANTS = 8;
    private static final int MIB = 1 << 20;
    private static final int SHARED = 4 * MIB;
    private static final int UNIQUE = 31 * SHARED;

    /** Without a governor, merging has ended after as many scans. */
    private static final int SCANS = 10;

    private final Ksm ksm;
    private final RunningKsmd ksmd;
    private final List<MergeRegion> tenants;

    private GovernorBenchmark(Ksm ksm, RunningKsmd ksmd, List<MergeRegion> tenants) {
        this.ksm = ksm;
        this.ksmd = ksmd;
        this.tenants = tenants;
    }

    /** What merging does in one variant. */
    private record Result(String variant, long records, long saved) {

        double profitMib() {
            return (saved - records) / (double) MIB;
        }

        String row() {
            return String.format(
                    Locale.ROOT,
                    "| %s | %.1f | %.1f | %.1f |%n",
                    variant,
                    saved / (double) MIB,
                    records / (double) MIB,
                    profitMib());
        }
    }

    /** Measures and updates the page, unless the run was disturbed. The argument is the root of the repository. */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        Ksm ksm = Ksm.system();
        List<MergeRegion> tenants = new ArrayList<>();
        String text;
        Disturbance disturbance;
        try (RunningKsmd ksmd = RunningKsmd.start()) {
            DisturbanceMeter meter = DisturbanceMeter.start();
            RegionOptions options =
                    RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE).withHugePages(HugePages.AVOID);
            for (int i = 0; i < TENANTS; i++) {
                tenants.add(ksm.allocate(SHARED + UNIQUE, options));
                ByteBuffer memory = tenants.get(i).buffer();
                fill(memory, 0, SHARED, 1);
                fill(memory, SHARED, SHARED + UNIQUE, 2 + i);
            }
            text = new GovernorBenchmark(ksm, ksmd, tenants).measure();
            disturbance = meter.stop();
        } finally {
            tenants.forEach(MergeRegion::close);
        }
        GeneratedSection section = new GeneratedSection(Path.of("docs", "operations.md"), "governor");
        System.exit(section.publish(root, disturbance, text));
    }

    private static void fill(ByteBuffer memory, int from, int to, long seed) {
        Random random = new Random(seed);
        for (int at = from; at < to; at += Long.BYTES) {
            memory.putLong(at, random.nextLong());
        }
    }

    private String measure() {
        tenants.forEach(tenant -> tenant.markMergeable(0, SHARED));
        ksmd.awaitFullScans(SCANS);
        Result shared = result("only what is equal is marked");

        tenants.forEach(MergeRegion::markMergeable);
        ksmd.awaitFullScans(SCANS);
        Result all = result("then everything is marked");

        GovernorOptions onRequest = GovernorOptions.DEFAULT.withInterval(Duration.ZERO);
        Result governed;
        try (MergeGovernor governor = MergeGovernor.start(ksm, onRequest)) {
            tenants.forEach(governor::govern);
            // The first check records how much data there is, the second one judges.
            for (int check = 0; check < 2; check++) {
                ksmd.awaitFullScans(onRequest.fullScans());
                governor.check();
            }
            // Removes the records of what was unmarked.
            ksmd.awaitFullScans(1);
            governed = result("then a governor decides");
        }
        return String.format(
                Locale.ROOT,
                """
                Measured once. %d regions of one JVM, each with %d MiB that all have and %d MiB that no other has:

                | | saved, MiB | records, MiB | what remains, MiB |
                | --- | --- | --- | --- |
                %s%s%s
                    %s
                """,
                TENANTS,
                SHARED / MIB,
                UNIQUE / MIB,
                shared.row(),
                all.row(),
                governed.row(),
                Target.minimum("governor-share-of-best", governed.profitMib() / shared.profitMib(), 0.9));
    }

    private Result result(String variant) {
        // Of this process alone: others may merge at the same time.
        long saved = ksm.stats(tenants).values().stream()
                .mapToLong(RegionStats::savedBytes)
                .sum();
        long records = 64 * ProcessKsmStats.read().rmapItems().orElseThrow();
        return new Result(variant, records, saved);
    }
}
