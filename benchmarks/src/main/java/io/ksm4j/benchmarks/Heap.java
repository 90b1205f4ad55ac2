package io.ksm4j.benchmarks;

import io.ksm4j.Ksm;
import io.ksm4j.benchmarks.HeapProcess.Holding;
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

/** The same data in several JVMs, on heaps with the processes opted in, and in regions: what merges, and what that costs. */
final class Heap implements Part {

    private static final String PRE_TOUCH = "-XX:+AlwaysPreTouch";

    /** Of the pages with data: nothing stands in the way of any. */
    private static final double GOAL = 0.99;

    /** What the kernel keeps for each page that it looks at: its rmap_item. */
    private static final int RECORD = 64;

    /** The first sees each page, the second merges it. */
    private static final int SCANS_TO_MERGE = 2;

    private static final int SCANS_AT_MOST = 12;

    /** Settled when a scan has merged no more than this share. */
    private static final double A_LITTLE = 0.001;

    /** With nothing merged. Pages of zeros become the kernel's own, so that they are counted by themselves. */
    private static final KsmSettings STOPPED =
            KsmSettings.EMPTY.with(KsmSetting.RUN, 2).with(KsmSetting.USE_ZERO_PAGES, 1);

    private static final KsmSettings RUNNING = STOPPED.with(KsmSetting.RUN, 1);

    private record Case(Holding holding, String collector, boolean isPreTouched) {

        List<String> options() {
            String use = "-XX:+Use" + collector + "GC";
            return isPreTouched ? List.of(use, PRE_TOUCH) : List.of(use);
        }

        String label() {
            return holding.label() + (isPreTouched ? ", pre-touched" : "");
        }
    }

    /** Of one JVM, in bytes. */
    private record Jvm(long data, long merged, long zeros, long records, long resident, long proportional) {}

    /**
     * What came of a case.
     *
     * @param saved bytes, by all JVMs together
     * @param cpu of {@code ksmd}
     */
    private record Result(Case of, List<Jvm> jvms, long saved, Cpu cpu) {

        double mean(ToDoubleFunction<Jvm> bytes) {
            return jvms.stream().mapToDouble(bytes).average().orElseThrow();
        }
    }

    /**
     * Seconds on a processor.
     *
     * @param merging until nothing more came
     * @param scan for the first full scan that brought next to nothing
     */
    private record Cpu(double merging, double scan) {}

    private final long pageSize = Ksm.system().pageSize();
    private final Ksmd ksmdThread = new Ksmd();

    @Override
    public PartReport measure(Length length) throws Exception {
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

    private static List<Case> cases(Length length) {
        List<Case> cases = new ArrayList<>();
        if (length == Length.INSTANT) {
            cases.add(new Case(Holding.RECORDS, "Serial", false));
            cases.add(new Case(Holding.REGION, "Serial", false));
            return cases;
        }
        cases.add(new Case(Holding.NOTHING, "G1", false));
        for (String collector : List.of("G1", "Serial", "Parallel")) {
            cases.add(new Case(Holding.RECORDS, collector, false));
        }
        if (length == Length.LONG) {
            for (String collector : List.of("G1", "Serial", "Parallel")) {
                cases.add(new Case(Holding.RECORDS, collector, true));
            }
        }
        for (String collector : List.of("G1", "Serial")) {
            cases.add(new Case(Holding.ARRAYS, collector, false));
        }
        cases.add(new Case(Holding.REGION, "G1", false));
        return cases;
    }

    private Result measure(RunningKsmd ksmd, KsmSession session, Case each, int count, long size, long heap)
            throws IOException {
        // While data is loaded, what it did would depend on how long that takes.
        session.change(STOPPED);
        List<ChildProcess> children = new ArrayList<>();
        try {
            for (int i = 0; i < count; i++) {
                children.add(HeapProcess.start(each.options(), heap, each.holding(), size));
            }
            List<Long> data = new ArrayList<>();
            for (ChildProcess child : children) {
                data.add(HeapProcess.awaitReady(child));
            }
            Cpu cpu = settle(ksmd, session, children);
            List<Jvm> jvms = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                jvms.add(look(children.get(i).process().pid(), data.get(i)));
            }
            long saved = ksmd.read("pages_sharing") * pageSize
                    + jvms.stream().mapToLong(Jvm::zeros).sum();
            return new Result(each, jvms, saved, cpu);
        } finally {
            children.forEach(ChildProcess::close);
        }
    }

    private Cpu settle(RunningKsmd ksmd, KsmSession session, List<ChildProcess> children) throws IOException {
        double start = ksmdThread.seconds();
        session.change(RUNNING);
        ksmd.awaitFullScans(SCANS_TO_MERGE);
        long merged = merged(children);
        for (int scans = SCANS_TO_MERGE; scans < SCANS_AT_MOST; scans++) {
            double before = ksmdThread.seconds();
            ksmd.awaitFullScans(1);
            long more = merged(children) - merged;
            merged += more;
            if (more <= merged * A_LITTLE) {
                return new Cpu(before - start, ksmdThread.seconds() - before);
            }
        }
        throw new IllegalStateException("after " + SCANS_AT_MOST + " scans pages still merge: who changes them?");
    }

    private long merged(List<ChildProcess> children) {
        return children.stream()
                .map(child -> ProcessKsmStats.read(child.process().pid()))
                .mapToLong(stats ->
                        stats.mergingPages().orElseThrow() + stats.zeroPages().orElse(0))
                .sum();
    }

    private Jvm look(long pid, long data) throws IOException {
        ProcessKsmStats stats = ProcessKsmStats.read(pid);
        return new Jvm(
                data,
                stats.mergingPages().orElseThrow() * pageSize,
                stats.zeroPages().orElse(0) * pageSize,
                stats.rmapItems().orElseThrow() * RECORD,
                rollup(pid, "Rss"),
                rollup(pid, "Pss"));
    }

    private static long rollup(long pid, String field) throws IOException {
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
                Locale.ROOT, """
                %d JVMs with heaps of %d MiB (`-Xms` and `-Xmx`) are loaded with the same %d MiB, in the same order, by one thread, and collect
                garbage once. Records are a name and a value of %d to %d bytes. With data on the heap the whole process is opted in, so what
                merges is the JVM's own memory as well; where a JVM holds nothing, it is only that. Then `ksmd` goes over it at full tilt,
                until a scan brings next to nothing more. Numbers are means of the JVMs in MiB, but for the last three. *Resident* counts
                merged pages in full; *its part* counts what several have in parts. *Saved* is by all JVMs together. The kernel's records are
                64 bytes for each page it looks at.

                The kernel compares whole pages, so equal data merges where it lies at the same place of its page in each JVM. A region begins
                on a page, and so does what was written to it in the same order. On a heap that holds for arrays that G1 gives regions of
                their own, and for other objects by chance.

                | Holds | Collector | Merged | Pages of zeros | Resident | Its part | Kernel's records | Saved by all | CPU of `ksmd`, s | a scan after, s |
                | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
                """, jvms, heap >> 20, size >> 20, HeapProcess.LEAST_VALUE, HeapProcess.MOST_VALUE));
        results.forEach(result -> text.append(row(result)));
        Result region = results.stream()
                .filter(result -> result.of().holding() == Holding.REGION)
                .findFirst()
                .orElseThrow();
        return new PartReport(
                text.toString(),
                Map.of(),
                List.of(Target.atLeast(
                        "heap-regions-merge",
                        region.jvms().stream()
                                .mapToDouble(this::mergedShare)
                                .min()
                                .orElseThrow(),
                        GOAL)));
    }

    /** Of the pages with data. */
    private double mergedShare(Jvm jvm) {
        return jvm.merged() / (double) (Math.ceilDiv(jvm.data(), pageSize) * pageSize);
    }

    private static String row(Result result) {
        return String.format(
                Locale.ROOT,
                "| %s | %s | %s | %s | %s | %s | %s | %s | %.1f | %.2f |%n",
                result.of().label(),
                result.of().collector(),
                mebibytes(result.mean(Jvm::merged)),
                mebibytes(result.mean(Jvm::zeros)),
                mebibytes(result.mean(Jvm::resident)),
                mebibytes(result.mean(Jvm::proportional)),
                mebibytes(result.mean(Jvm::records)),
                mebibytes((double) result.saved()),
                result.cpu().merging(),
                result.cpu().scan());
    }

    private static String mebibytes(double bytes) {
        return String.format(Locale.ROOT, "%.1f", bytes / (1 << 20));
    }
}
