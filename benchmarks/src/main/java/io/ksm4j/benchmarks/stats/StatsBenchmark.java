// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.stats;

import com.sun.management.ThreadMXBean;
import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.benchmarks.CProgram;
import io.ksm4j.benchmarks.Median;
import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.PerformancePart;
import io.ksm4j.benchmarks.RunLength;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.micrometer.KsmMetrics;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;

/** Compares reading the statistics with a C program that reads the same files of the same process. */
public final class StatsBenchmark implements PerformancePart {

    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    private static final List<Integer> REGIONS = List.of(1, 100, 1000);

    private static final List<Integer> FEW_REGIONS = List.of(1, 10);

    /** The number of regions that are open during all measurements except the passes over regions. */
    private static final int SOME_REGIONS = 100;

    private static final int REGION_PAGES = 16;

    /** Medians: microseconds per call, and bytes that a Java call allocates. */
    private record Result(String what, double inC, double inJava, double bytes) {

        double ratio() {
            return inJava / inC;
        }

        String row() {
            return String.format(
                    Locale.ROOT, "| %s | %.1f | %.1f | %.2f | %.0f |%n", what, inC, inJava, ratio(), bytes);
        }
    }

    private final Ksm ksm = Ksm.system();

    @Override
    public PartReport measure(RunLength length) throws Exception {
        List<Result> passes = new ArrayList<>();
        Result machine;
        Result process;
        Result scrape;
        Result text;
        try (RunningKsmd ksmd = RunningKsmd.start()) {
            // It would take a core, and the locks that reading needs.
            ksmd.set(KsmSetting.RUN, 0);
            for (int count : length.of(FEW_REGIONS, REGIONS, REGIONS)) {
                passes.add(pass(count, length));
            }
            List<MergeRegion> regions = allocate(SOME_REGIONS);
            try (CProgram inC = program(List.of())) {
                machine = compare("`KsmStats.read()`", inC, "machine", KsmStats::read, 10, length);
                process = compare("`ProcessKsmStats.read()`", inC, "process", ProcessKsmStats::read, 100, length);
                PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
                new KsmMetrics(ksm).bindTo(registry);
                scrape = compare("a scrape, including all reads", inC, "all", () -> read(registry), 1, length);
                text = compare("a scrape of cached values", inC, "all", registry::scrape, 1, length);
                registry.close();
            } finally {
                regions.forEach(MergeRegion::close);
            }
        }
        return report(machine, process, passes, scrape, text);
    }

    /**
     * Reads all statistics and scrapes the registry. Meters cache what they read for a second or longer, so the reads
     * of an uncached scrape are made here each time.
     */
    private String read(PrometheusMeterRegistry registry) {
        Objects.requireNonNull(KsmStats.read());
        Objects.requireNonNull(ProcessKsmStats.read());
        Objects.requireNonNull(ksm.stats());
        return registry.scrape();
    }

    /** Allocates populated regions, each in its own mapping. */
    private List<MergeRegion> allocate(int count) {
        RegionOptions options =
                RegionOptions.DEFAULT.withHugePages(HugePages.AVOID).withPopulate(true);
        List<MergeRegion> regions = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            regions.add(ksm.allocate(REGION_PAGES * ksm.pageSize(), options));
        }
        return regions;
    }

    private static CProgram program(List<MergeRegion> regions) throws IOException, InterruptedException {
        List<String> arguments = new ArrayList<>();
        arguments.add(Long.toString(ProcessHandle.current().pid()));
        regions.stream()
                .map(MergeRegion::range)
                .sorted()
                .forEach(range -> arguments.add(
                        Long.toHexString(range.start()) + "-" + Long.toHexString(range.start() + range.length())));
        return CProgram.start("stats.c", arguments.toArray(String[]::new));
    }

    private Result pass(int count, RunLength length) throws IOException, InterruptedException {
        List<MergeRegion> regions = allocate(count);
        try (CProgram inC = program(regions)) {
            long bytes = ksm.pageSize() * REGION_PAGES * count;
            long marked = inC.run("marked", 1);
            if (marked != bytes) {
                throw new IllegalStateException("C found " + marked + " of " + bytes + " marked bytes");
            }
            String what = count == 1 ? "`Ksm.stats` of 1 region" : "`Ksm.stats` of " + count + " regions";
            return compare(what, inC, "pass", () -> ksm.stats(regions), 1, length);
        } finally {
            regions.forEach(MergeRegion::close);
        }
    }

    /** Measures some calls of each language in turn. Each language is first in every second round. */
    private static Result compare(
            String what, CProgram inC, String command, Supplier<?> inJava, int calls, RunLength length)
            throws IOException {
        System.out.println(what);
        long warm = System.nanoTime() + length.of(20_000_000L, 700_000_000L, 5_000_000_000L);
        while (System.nanoTime() < warm) {
            Objects.requireNonNull(inJava.get());
        }
        int rounds = length.of(3, 151, 1001);
        double[] c = new double[rounds];
        double[] java = new double[rounds];
        double[] bytes = new double[rounds];
        for (int round = 0; round < rounds; round++) {
            if (round % 2 == 0) {
                c[round] = inC.run(command, calls) / 1e3 / calls;
            }
            long allocated = THREADS.getCurrentThreadAllocatedBytes();
            long start = System.nanoTime();
            for (int i = 0; i < calls; i++) {
                Objects.requireNonNull(inJava.get());
            }
            java[round] = (System.nanoTime() - start) / 1e3 / calls;
            bytes[round] = (double) (THREADS.getCurrentThreadAllocatedBytes() - allocated) / calls;
            if (round % 2 == 1) {
                c[round] = inC.run(command, calls) / 1e3 / calls;
            }
        }
        return new Result(what, Median.of(c), Median.of(java), Median.of(bytes));
    }

    private static PartReport report(Result machine, Result process, List<Result> passes, Result scrape, Result text) {
        StringBuilder table = new StringBuilder("""
                C opens, reads and closes the same files of the same process, and parses the numbers. C and Java take
                turns; numbers are medians. The scrapes are Micrometer's for Prometheus, with 100 regions open; for
                each, C reads the files of the machine, of the process and of its mappings. Meters cache what they have
                read for at least a second; the last row is a scrape within that time.

                | | C, µs | Java, µs | ratio | bytes allocated per call |
                | --- | --- | --- | --- | --- |
                """);
        List<Result> all = new ArrayList<>(List.of(machine, process));
        all.addAll(passes);
        all.add(scrape);
        all.add(text);
        all.forEach(result -> table.append(result.row()));
        return new PartReport(
                table.toString(),
                Map.of(),
                List.of(
                        Target.maximum("stats-snapshot", machine.ratio(), 1.3),
                        Target.maximum("stats-process", process.ratio(), 1.5),
                        Target.maximum(
                                "stats-regions",
                                passes.stream().mapToDouble(Result::ratio).max().orElse(Double.NaN),
                                1.5),
                        Target.maximum("stats-scrape", scrape.ratio(), 1.5)));
    }
}
