// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.heap;

import io.ksm4j.Ksm;
import io.ksm4j.benchmarks.ChildProcess;
import io.ksm4j.benchmarks.KsmdCpuTime;
import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.PerformancePart;
import io.ksm4j.benchmarks.RunLength;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.benchmarks.heap.DataHoldingJvm.HeldData;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.ProcessKsmStats;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;

/**
 * Compares the same data in several JVMs on heaps, with the whole processes opted in, and in regions: how much merges,
 * and what that costs.
 */
public final class HeapBenchmark implements PerformancePart {

    private static final String PRE_TOUCH = "-XX:+AlwaysPreTouch";

    /** The share of data pages in regions that must merge. */
    private static final double GOAL = 0.99;

    /** The size of an rmap_item, which the kernel keeps for each page it scans. */
    static final int RMAP_ITEM_BYTES = 64;

    /** The first scan records each page, the second merges it. */
    private static final int SCANS_TO_MERGE = 2;

    private static final int MAX_SCANS = 12;

    /** Merging has settled when a scan adds at most this share. */
    private static final double SETTLED_SHARE = 0.001;

    /** Nothing merged, and merging into the kernel's zero page enabled, so that zero pages are counted separately. */
    private static final KsmSettings STOPPED =
            KsmSettings.EMPTY.with(KsmSetting.RUN, 2).with(KsmSetting.USE_ZERO_PAGES, 1);

    private static final KsmSettings RUNNING = STOPPED.with(KsmSetting.RUN, 1);

    private record Case(HeldData holding, String collector, boolean isPreTouched) {

        List<String> options() {
            String use = "-XX:+Use" + collector + "GC";
            return isPreTouched ? List.of(use, PRE_TOUCH) : List.of(use);
        }

        String label() {
            return holding.label() + (isPreTouched ? ", pre-touched" : "");
        }
    }

    /** The memory of one JVM in bytes. */
    private record Jvm(long data, long merged, long zeros, long records, long resident, long proportional) {}

    /**
     * The result of one case.
     *
     * @param saved the bytes saved by all JVMs together
     * @param cpu the CPU time of {@code ksmd}
     */
    private record Result(Case measured, List<Jvm> jvms, long saved, Cpu cpu) {

        double mean(ToDoubleFunction<Jvm> bytes) {
            return jvms.stream().mapToDouble(bytes).average().orElseThrow();
        }
    }

    /**
     * CPU seconds of {@code ksmd}.
     *
     * @param merging until merging had settled
     * @param scan of the first full scan that added almost nothing
     */
    private record Cpu(double merging, double scan) {}

    private final long pageSize = Ksm.system().pageSize();
    private final KsmdCpuTime ksmdThread = new KsmdCpuTime();

    @Override
    public PartReport measure(RunLength length) throws Exception {
        int jvms = length.of(2, 3, 3);
        long size = length.of(4L, 64L, 192L) << 20;
        long heap = length.of(64L, 256L, 768L) << 20;
        List<Result> results = new ArrayList<>();
        try (RunningKsmd ksmd = RunningKsmd.start();
                KsmSession session = KsmDaemon.system().borrow(STOPPED)) {
            for (Case each : cases(length)) {
                results.add(measure(ksmd, session, each, jvms, size, heap));
                System.out.println(each.label() + ", " + each.collector() + ": measured");
            }
        }
        return report(results, jvms, size, heap);
    }

    private static List<Case> cases(RunLength length) {
        List<Case> cases = new ArrayList<>();
        if (length == RunLength.INSTANT) {
            cases.add(new Case(HeldData.RECORDS, "Serial", false));
            cases.add(new Case(HeldData.REGION, "Serial", false));
            return cases;
        }
        cases.add(new Case(HeldData.NOTHING, "G1", false));
        for (String collector : List.of("G1", "Serial", "Parallel")) {
            cases.add(new Case(HeldData.RECORDS, collector, false));
        }
        if (length == RunLength.LONG) {
            for (String collector : List.of("G1", "Serial", "Parallel")) {
                cases.add(new Case(HeldData.RECORDS, collector, true));
            }
        }
        for (String collector : List.of("G1", "Serial")) {
            cases.add(new Case(HeldData.ARRAYS, collector, false));
        }
        cases.add(new Case(HeldData.REGION, "G1", false));
        return cases;
    }

    private Result measure(RunningKsmd ksmd, KsmSession session, Case each, int count, long size, long heap)
            throws IOException {
        // If ksmd ran while data is loaded, its work would depend on how long loading takes.
        session.change(STOPPED);
        List<ChildProcess> children = new ArrayList<>();
        try {
            for (int i = 0; i < count; i++) {
                children.add(DataHoldingJvm.start(
                        List.of(), each.options(), heap, each.holding(), size, each.holding() != HeldData.REGION));
            }
            List<Long> data = new ArrayList<>();
            for (ChildProcess child : children) {
                data.add(DataHoldingJvm.awaitReady(child));
            }
            Cpu cpu = awaitSettled(ksmd, session, children);
            List<Jvm> jvms = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                jvms.add(measure(children.get(i).process().pid(), data.get(i)));
            }
            long saved = ksmd.read("pages_sharing") * pageSize
                    + jvms.stream().mapToLong(Jvm::zeros).sum();
            return new Result(each, jvms, saved, cpu);
        } finally {
            children.forEach(ChildProcess::close);
        }
    }

    private Cpu awaitSettled(RunningKsmd ksmd, KsmSession session, List<ChildProcess> children) throws IOException {
        double start = ksmdThread.seconds();
        session.change(RUNNING);
        ksmd.awaitFullScans(SCANS_TO_MERGE);
        long merged = merged(children);
        for (int scans = SCANS_TO_MERGE; scans < MAX_SCANS; scans++) {
            double before = ksmdThread.seconds();
            ksmd.awaitFullScans(1);
            long more = merged(children) - merged;
            merged += more;
            if (more <= merged * SETTLED_SHARE) {
                return new Cpu(before - start, ksmdThread.seconds() - before);
            }
        }
        throw new IllegalStateException(
                "pages still merge after " + MAX_SCANS + " scans: is another program changing memory?");
    }

    private long merged(List<ChildProcess> children) {
        return children.stream()
                .map(child -> ProcessKsmStats.read(child.process().pid()))
                .mapToLong(stats ->
                        stats.mergingPages().orElseThrow() + stats.zeroPages().orElse(0))
                .sum();
    }

    private Jvm measure(long pid, long data) throws IOException {
        ProcessKsmStats stats = ProcessKsmStats.read(pid);
        return new Jvm(
                data,
                stats.mergingPages().orElseThrow() * pageSize,
                stats.zeroPages().orElse(0) * pageSize,
                stats.rmapItems().orElseThrow() * RMAP_ITEM_BYTES,
                rollup(pid, "Rss"),
                rollup(pid, "Pss"));
    }

    /** Returns a field of {@code smaps_rollup} in bytes. */
    static long rollup(long pid, String field) throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc", Long.toString(pid), "smaps_rollup"))) {
            return lines.filter(line -> line.startsWith(field + ":"))
                            .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
                            .findFirst()
                            .orElseThrow()
                    << 10;
        }
    }

    private PartReport report(List<Result> results, int jvms, long size, long heap) {
        StringBuilder text = new StringBuilder(String.format(
                Locale.ROOT,
                """
                %d JVMs with heaps of %d MiB (`-Xms` and `-Xmx`) load the same %d MiB in the same order with one thread,
                then run one garbage collection. A record is a name and a value of %d to %d bytes. Where data is on the
                heap, the whole process is opted in, so the JVM's own memory merges as well; where a JVM holds no data,
                only its own memory merges. `ksmd` then scans as fast as possible until a scan merges almost nothing
                more. Numbers are means over the JVMs in MiB, except in the last three columns. *Resident* counts merged
                pages in full; *proportional* counts a page shared by n processes as one n-th. *Saved by all* is the sum
                over all JVMs in MiB. *Kernel's records* are 64 bytes for each page that `ksmd` scans.

                The kernel compares whole pages, so equal data merges only if it lies at the same offset in its page in
                each JVM. A region begins at a page boundary, so data written to it in the same order lies at the same
                offsets. On a heap this is true of arrays that G1 stores in regions of their own, and of other objects
                only by chance.

                | Data | Collector | Merged | Zero pages | Resident | Proportional | Kernel's records | Saved by all \
                | `ksmd` CPU, s | CPU of a later scan, s |
                | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
                """,
                jvms,
                heap >> 20,
                size >> 20,
                DataHoldingJvm.MIN_VALUE_BYTES,
                DataHoldingJvm.MAX_VALUE_BYTES));
        results.forEach(result -> text.append(row(result)));
        Result region = results.stream()
                .filter(result -> result.measured().holding() == HeldData.REGION)
                .findFirst()
                .orElseThrow();
        return new PartReport(
                text.toString(),
                Map.of(),
                List.of(Target.minimum(
                        "heap-regions-merge",
                        region.jvms().stream()
                                .mapToDouble(this::mergedShare)
                                .min()
                                .orElseThrow(),
                        GOAL)));
    }

    /** Returns the share of the data pages that are merged. */
    private double mergedShare(Jvm jvm) {
        return jvm.merged() / (double) (Math.ceilDiv(jvm.data(), pageSize) * pageSize);
    }

    private static String row(Result result) {
        return String.format(
                Locale.ROOT,
                "| %s | %s | %s | %s | %s | %s | %s | %s | %.1f | %.2f |%n",
                result.measured().label(),
                result.measured().collector(),
                mebibytes(result.mean(Jvm::merged)),
                mebibytes(result.mean(Jvm::zeros)),
                mebibytes(result.mean(Jvm::resident)),
                mebibytes(result.mean(Jvm::proportional)),
                mebibytes(result.mean(Jvm::records)),
                mebibytes((double) result.saved()),
                result.cpu().merging(),
                result.cpu().scan());
    }

    static String mebibytes(double bytes) {
        return String.format(Locale.ROOT, "%.1f", bytes / (1 << 20));
    }
}
