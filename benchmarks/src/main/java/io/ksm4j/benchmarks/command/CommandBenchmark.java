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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Measures the installed command {@code ksm}: the duration of {@code ksm status}, and the speed and accuracy of
 * {@code ksm estimate}. Writes the tables of {@code docs/command.md}.
 */
final class CommandBenchmark {

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

    /** Measures the duration of {@code ksm status} in milliseconds, with each JDK in turn. */
    String status(int rounds) throws Exception {
        Map<Path, List<Double>> millis = new LinkedHashMap<>();
        jdks().forEach(jdk -> millis.put(jdk, new ArrayList<>()));
        for (int round = 0; round <= rounds; round++) {
            for (Map.Entry<Path, List<Double>> each : millis.entrySet()) {
                Run run = run(each.getKey(), "status");
                // The first run fills the page cache and creates files that the later runs use.
                if (round > 0) {
                    each.getValue().add(run.seconds() * 1000);
                }
            }
        }
        StringBuilder text = new StringBuilder(String.format(Locale.ROOT, """
                `ksm status`, started %d times with each JDK in turn:

                | JDK | median, ms |
                | --- | --- |
                """, rounds));
        List<Target> targets = new ArrayList<>();
        for (Map.Entry<Path, List<Double>> each : millis.entrySet()) {
            String version = version(each.getKey());
            double median = Median.of(
                    each.getValue().stream().mapToDouble(Double::doubleValue).toArray());
            text.append(String.format(Locale.ROOT, "| %s | %.0f |%n", version, median));
            String feature = version.replaceFirst("[.+-].*", "");
            targets.add(Target.maximum("command-status-jdk" + feature + "-seconds", median / 1000, 0.4));
        }
        return text.append('\n').append(lines(targets)).append('\n').toString();
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
                candidates = number(run.output(), "candidateBytes") / GIB;
                estimated = number(run.output(), "savedBytes") / GIB;
                if (round >= 0) {
                    adding[round] = added;
                    copying[round] = copied;
                    reading[round] = number(run.output(), "readBytes") / GIB / number(run.output(), "seconds");
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
                        looking[round] = number(run.output(), "seconds");
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
        ProcessBuilder builder = ksm.process(jdk, List.of(arguments)).redirectErrorStream(true);
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

    /** Returns the first number of this name, which is the one for all processes together. */
    private static double number(String json, String name) {
        Matcher matcher = Pattern.compile("\"" + name + "\": ?(\\d+(\\.\\d+)?)").matcher(json);
        if (!matcher.find()) {
            throw new IllegalStateException("no " + name + " in " + json);
        }
        return Double.parseDouble(matcher.group(1));
    }
}
