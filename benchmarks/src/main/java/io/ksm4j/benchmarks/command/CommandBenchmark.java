// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.command;

import io.ksm4j.Ksm;
import io.ksm4j.benchmarks.CProgram;
import io.ksm4j.benchmarks.ChildProcess;
import io.ksm4j.benchmarks.Disturbance;
import io.ksm4j.benchmarks.DisturbanceMeter;
import io.ksm4j.benchmarks.GeneratedSection;
import io.ksm4j.benchmarks.InstalledCommand;
import io.ksm4j.benchmarks.Median;
import io.ksm4j.benchmarks.OwnCpuTime;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.benchmarks.heap.DataHoldingJvm;
import io.ksm4j.benchmarks.heap.DataHoldingJvm.HeldData;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.RunningKsmd;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.stream.Stream;

/**
 * Measures the installed command {@code ksm}: the duration of {@code ksm status}, and the speed and accuracy of
 * {@code ksm estimate}. Writes the tables of {@code docs/command.md}.
 */
final class CommandBenchmark {

    private static final Path PROC = Path.of("/proc");
    private static final Path JDKS = Path.of("/usr/lib/jvm");
    private static final int JVMS = 2;
    private static final long HEAP = 64 << 20;
    private static final double GIB = 1 << 30;

    /** The maximum number of threads of {@code ksm estimate}. */
    private static final int READERS = 4;

    /**
     * The first scan records each page and the second merges it; more are needed because the JVMs' own memory changes.
     */
    private static final int SCANS = 6;

    private static final String STATUS = "`ksm status`";

    private final InstalledCommand ksm;

    CommandBenchmark(Path tools) throws IOException {
        ksm = InstalledCommand.of(tools);
    }

    /**
     * Measures everything and updates the page, unless the run was disturbed. The argument is the root of the
     * repository.
     */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        CommandBenchmark command = new CommandBenchmark(root.resolve("ksm-tools"));
        StringBuilder text = new StringBuilder();
        DisturbanceMeter meter = DisturbanceMeter.start();
        try (RunningKsmd ksmd = RunningKsmd.start()) {
            text.append(command.status(31)).append(command.estimate(ksmd, 1L << 30, 7));
        }
        text.append('\n').append(command.estimateOfReserved(7));
        Disturbance disturbance = meter.stop();
        GeneratedSection section = new GeneratedSection(Path.of("docs", "command.md"), "command");
        System.exit(section.publish(root, disturbance, text.toString()));
    }

    /** A program, and what its runs took. */
    private static final class Start {
        private final String jdk;
        private final String description;
        private final ProcessBuilder builder;
        private final List<Double> millis = new ArrayList<>();
        private long cpuTicks;

        Start(String jdk, String description, ProcessBuilder builder) {
            this.jdk = jdk;
            this.description = description;
            this.builder = builder;
        }

        void measure() throws Exception {
            long before = OwnCpuTime.read(PROC).children();
            millis.add(run(builder).seconds() * 1000);
            cpuTicks += OwnCpuTime.read(PROC).children() - before;
        }

        double medianMillis() {
            return Median.of(millis.stream().mapToDouble(Double::doubleValue).toArray());
        }

        /** A single run is too short for the clock, which has a tick of 10 ms. */
        double meanCpuMillis() {
            return 10.0 * cpuTicks / millis.size();
        }
    }

    /** Measures {@code ksm status} with each JDK in turn: how long it takes, and the CPU time that it uses. */
    String status(int rounds) throws Exception {
        Path directory = Files.createTempDirectory("ksm-archive");
        List<Start> starts = new ArrayList<>();
        try {
            for (Path jdk : jdks()) {
                // The first run also fills the page cache.
                starts.addAll(starts(jdk, directory.resolve(version(jdk))));
            }
            for (int round = 0; round < rounds; round++) {
                for (Start start : starts) {
                    start.measure();
                }
            }
        } finally {
            try (Stream<Path> files = Files.list(directory)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(directory);
        }
        StringBuilder text = new StringBuilder(String.format(Locale.ROOT, """
                `ksm status`, started %d times in turn with the other rows:

                | JDK | | median time, ms | mean CPU time, ms |
                | --- | --- | --- | --- |
                """, rounds));
        List<Target> targets = new ArrayList<>();
        for (Start start : starts) {
            text.append(String.format(
                    Locale.ROOT,
                    "| %s | %s | %.0f | %.0f |%n",
                    start.jdk,
                    start.description,
                    start.medianMillis(),
                    start.meanCpuMillis()));
            if (start.description.equals(STATUS)) {
                String name = "command-status-jdk" + start.jdk.replaceFirst("[.+-].*", "");
                targets.add(Target.maximum(name + "-seconds", start.medianMillis() / 1000, 0.4));
                targets.add(Target.maximum(name + "-cpu-seconds", start.meanCpuMillis() / 1000, 0.15));
            }
        }
        return text.append('\n').append(lines(targets)).append('\n').toString();
    }

    private List<Start> starts(Path jdk, Path archive) throws Exception {
        String version = version(jdk);
        String java = jdk.resolve("bin/java").toString();
        run(status(jdk, "-XX:ArchiveClassesAtExit=" + archive));
        return List.of(
                new Start(
                        version,
                        "`java -version`",
                        new ProcessBuilder(java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-version")),
                new Start(version, STATUS, status(jdk, "")),
                new Start(
                        version,
                        STATUS + ", with an [archive of its classes](#faster-starts)",
                        status(jdk, "-XX:SharedArchiveFile=" + archive)));
    }

    private ProcessBuilder status(Path jdk, String options) {
        ProcessBuilder builder = ksm.process(jdk, List.of("status"));
        builder.environment().put("KSM_JAVA_OPTIONS", options);
        return builder;
    }

    /**
     * Estimates the saving of JVMs with the same data whose whole memory may merge, compared with how fast C reads as
     * much memory, then measures the actual saving.
     */
    String estimate(RunningKsmd ksmd, long size, int rounds) throws Exception {
        ksmd.set(KsmSetting.RUN, 2);
        double before = saved(ksmd);
        List<ChildProcess> jvms = new ArrayList<>();
        int threads = Math.min(Runtime.getRuntime().availableProcessors(), READERS);
        try (CProgram c = CProgram.start("memory.c", Long.toString(JVMS * size), Integer.toString(threads))) {
            List<String> arguments = new ArrayList<>(List.of("estimate", "--json"));
            for (int i = 0; i < JVMS; i++) {
                jvms.add(DataHoldingJvm.start(
                        List.of(), List.of("-XX:+UseSerialGC"), HEAP, HeldData.REGION, size, true));
            }
            for (ChildProcess jvm : jvms) {
                DataHoldingJvm.awaitReady(jvm);
                arguments.add(Long.toString(jvm.process().pid()));
            }
            Path jdk = Path.of(System.getProperty("java.home"));
            double[] adding = new double[rounds];
            double[] copying = new double[rounds];
            double[] reading = new double[rounds];
            double[] whole = new double[rounds];
            double estimated = 0;
            double candidates = 0;
            for (int round = -1; round < rounds; round++) {
                double added = JVMS * size / GIB / (c.run("add", 1) / 1e9);
                double copied = JVMS * size / GIB / (c.run("copy", 1) / 1e9);
                Run run = run(jdk, arguments.toArray(String[]::new));
                candidates = InstalledCommand.number(run.output(), "candidateBytes") / GIB;
                estimated = InstalledCommand.number(run.output(), "savedBytes") / GIB;
                if (round >= 0) {
                    adding[round] = added;
                    copying[round] = copied;
                    reading[round] = InstalledCommand.number(run.output(), "readBytes")
                            / GIB
                            / InstalledCommand.number(run.output(), "seconds");
                    whole[round] = candidates / run.seconds();
                }
            }
            ksmd.set(KsmSetting.RUN, 1);
            ksmd.awaitFullScans(SCANS);
            double saved = (saved(ksmd) - before) / GIB;
            return String.format(
                    Locale.ROOT,
                    """
                    `ksm estimate` for %d JVMs, run %d times in turn with two C programs that read as much memory with \
                    %d threads:

                    | | median GiB/s |
                    | --- | --- |
                    | C adds up memory of its own, which shows the memory bandwidth | %.2f |
                    | C reads `/proc/PID/mem` in the same parts as `ksm estimate` and does nothing with it | %.2f |
                    | `ksm estimate`, while it reads | %.2f |
                    | `ksm estimate`, from start to exit | %.2f |

                    What was saved after `ksmd` had merged them:

                    | GiB read | GiB saved, estimated | GiB saved, actual |
                    | --- | --- | --- |
                    | %.3f | %.3f | %.3f |

                    %s""",
                    JVMS,
                    rounds,
                    threads,
                    Median.of(adding),
                    Median.of(copying),
                    Median.of(reading),
                    Median.of(whole),
                    candidates,
                    estimated,
                    saved,
                    lines(List.of(
                            Target.minimum("command-estimate-reading-gib-a-second", Median.of(reading), 4),
                            Target.minimum("command-estimate-gib-a-second", Median.of(whole), 1),
                            Target.maximum("command-estimate-error", Math.abs(estimated / saved - 1), 0.05))));
        } finally {
            jvms.forEach(ChildProcess::close);
        }
    }

    /** Measures how long it takes to estimate JVMs that have reserved much memory and use little of it. */
    String estimateOfReserved(int rounds) throws Exception {
        StringBuilder text = new StringBuilder(String.format(Locale.ROOT, """
                `ksm estimate` for a JVM that has reserved memory and uses 1000 pages of it, run %d times:

                | GiB reserved | median s to look at it | median s from start to exit |
                | --- | --- | --- |
                """, rounds));
        List<Target> targets = new ArrayList<>();
        for (long gib : new long[] {200, 16_384}) {
            try (ChildProcess jvm = DataHoldingJvm.start(
                    List.of(), List.of("-XX:+UseSerialGC"), HEAP, HeldData.RESERVED, gib << 30, false)) {
                DataHoldingJvm.awaitReady(jvm);
                String pid = Long.toString(jvm.process().pid());
                double[] looking = new double[rounds];
                double[] all = new double[rounds];
                for (int round = -1; round < rounds; round++) {
                    Run run = run(Path.of(System.getProperty("java.home")), "estimate", "--json", pid);
                    if (round >= 0) {
                        looking[round] = InstalledCommand.number(run.output(), "seconds");
                        all[round] = run.seconds();
                    }
                }
                text.append(
                        String.format(Locale.ROOT, "| %d | %.2f | %.2f |%n", gib, Median.of(looking), Median.of(all)));
                targets.add(
                        Target.maximum("command-estimate-" + gib + "-gib-reserved-seconds", Median.of(looking), 0.3));
            }
        }
        return text.append('\n').append(lines(targets)).toString();
    }

    private static double saved(RunningKsmd ksmd) {
        return (ksmd.read("pages_sharing") + ksmd.read("ksm_zero_pages"))
                * (double) Ksm.system().pageSize();
    }

    private static String lines(List<Target> targets) {
        StringBuilder lines = new StringBuilder();
        targets.forEach(target -> lines.append("    ").append(target).append('\n'));
        return lines.toString();
    }

    /** Returns the JDK of this program and all installed JDKs, without duplicates through symbolic links. */
    private static List<Path> jdks() throws IOException {
        List<Path> jdks =
                new ArrayList<>(List.of(Path.of(System.getProperty("java.home")).toRealPath()));
        if (!Files.isDirectory(JDKS)) {
            return jdks;
        }
        try (Stream<Path> directories = Files.list(JDKS)) {
            for (Path directory : directories.sorted().toList()) {
                Path home = directory.toRealPath();
                if (Files.isExecutable(home.resolve("bin/java")) && !jdks.contains(home)) {
                    jdks.add(home);
                }
            }
        }
        return jdks;
    }

    private static String version(Path jdk) throws IOException {
        Properties release = new Properties();
        try (var in = Files.newInputStream(jdk.resolve("release"))) {
            release.load(in);
        }
        return release.getProperty("JAVA_VERSION", "").replace("\"", "");
    }

    /** The output of a run and its duration from start to exit. */
    private record Run(String output, double seconds) {}

    private Run run(Path jdk, String... arguments) throws IOException, InterruptedException {
        return run(ksm.process(jdk, List.of(arguments)));
    }

    private static Run run(ProcessBuilder builder) throws IOException, InterruptedException {
        builder.redirectErrorStream(true);
        long start = System.nanoTime();
        try (ChildProcess child = ChildProcess.start(builder)) {
            String output = new String(child.process().getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int status = child.process().waitFor();
            double seconds = (System.nanoTime() - start) / 1e9;
            if (status != 0) {
                throw new IllegalStateException(child + " ended with " + status + ": " + output);
            }
            return new Run(output, seconds);
        }
    }
}
