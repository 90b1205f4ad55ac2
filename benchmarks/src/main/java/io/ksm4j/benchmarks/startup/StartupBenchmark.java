// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.startup;

import io.ksm4j.benchmarks.ChildProcess;
import io.ksm4j.benchmarks.Median;
import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.PerformancePart;
import io.ksm4j.benchmarks.RunLength;
import io.ksm4j.benchmarks.Target;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.ToDoubleFunction;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Measures the time from the start of a JVM to its first marked region for each backend, with and without the JDK's AOT
 * cache (JEP 483). Programs without ksm4j show the library's share.
 */
public final class StartupBenchmark implements PerformancePart {

    /** The measured programs. */
    private enum Program {
        EMPTY("empty `main`", StartupPrograms.Empty.class, "/none/"),
        BY_HAND("`mmap` and `madvise` called directly, FFM", StartupPrograms.ByHand.class, "/none/"),
        FFM("ksm4j, `ffm`", StartupPrograms.Library.class, "/ksm-(api|ffm)/target/"),
        JNR("ksm4j, `jnr`", StartupPrograms.Library.class, "/ksm-(api|jnr)/target/|/(jnr|jffi|asm)-[^/]*$"),
        JNA("ksm4j, `jna`", StartupPrograms.Library.class, "/ksm-(api|jna)/target/|/jna-[^/]*$");

        final String label;
        final Class<?> main;

        /** Matches the class path entries that the program needs. */
        final Pattern libraries;

        Program(String label, Class<?> main, String libraries) {
            this.label = label;
            this.main = main;
            this.libraries = Pattern.compile(libraries);
        }
    }

    /**
     * The milliseconds until the program printed its line.
     *
     * @param wall since the program was started
     * @param inMain since its {@code main} began
     */
    private record Start(double wall, double inMain) {}

    /** The starts of one program, without and with the cache. */
    private record Starts(Program program, List<String> command, Path cache, List<Start> plain, List<Start> cached) {

        void addOne() throws IOException {
            plain.add(start(command));
            List<String> withCache = new ArrayList<>(command);
            // With "on", a JVM that cannot use the cache fails instead of starting without it.
            withCache.addAll(1, List.of("-XX:AOTCache=" + cache, "-XX:AOTMode=on"));
            cached.add(start(withCache));
        }
    }

    @Override
    public PartReport measure(RunLength length) throws Exception {
        Path directory = Files.createTempDirectory("ksm4j-startup");
        try {
            return report(starts(length, directory));
        } finally {
            try (Stream<Path> files = Files.walk(directory)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    private static Map<Program, Starts> starts(RunLength length, Path directory)
            throws IOException, InterruptedException {
        Path programs = programs(directory);
        Map<Program, Starts> byProgram = new EnumMap<>(Program.class);
        for (Program program : Program.values()) {
            if (length != RunLength.INSTANT || program.compareTo(Program.FFM) <= 0) {
                Path cache = directory.resolve(program + ".aot");
                List<String> command = command(program, programs, directory);
                byProgram.put(program, new Starts(program, command, cache, new ArrayList<>(), new ArrayList<>()));
            }
        }
        List<Starts> all = List.copyOf(byProgram.values());
        System.out.println("training " + all.size() + " programs");
        train(all);
        int rounds = length.of(1, 15, 101);
        for (int round = 0; round < rounds; round++) {
            for (int i = 0; i < all.size(); i++) {
                // The order varies, so that no program always follows the same one.
                all.get((i * (round % 2 == 0 ? 1 : all.size() - 1) + round) % all.size())
                        .addOne();
            }
            if (round % 10 == 0) {
                System.out.println("round " + (round + 1) + " of " + rounds);
            }
        }
        return byProgram;
    }

    /** Packs the programs into a jar, because an AOT cache contains no classes from directories. */
    private static Path programs(Path directory) throws IOException {
        Path jar = directory.resolve("programs.jar");
        try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
            List<Class<?>> classes = new ArrayList<>(List.of(StartupPrograms.class));
            classes.addAll(List.of(StartupPrograms.class.getDeclaredClasses()));
            for (Class<?> each : classes) {
                String name = each.getName().replace('.', '/') + ".class";
                try (InputStream in = StartupBenchmark.class.getClassLoader().getResourceAsStream(name)) {
                    out.putNextEntry(new JarEntry(name));
                    if (in != null) {
                        in.transferTo(out);
                    }
                }
            }
        }
        return jar;
    }

    private static Path jarOf(Path entry, Path directory) throws IOException {
        if (!Files.isDirectory(entry)) {
            return entry;
        }
        Path jar = directory.resolve(entry.toString().replace('/', '-') + ".jar");
        if (!Files.exists(jar)) {
            try (OutputStream file = Files.newOutputStream(jar);
                    JarOutputStream out = new JarOutputStream(file);
                    Stream<Path> files = Files.walk(entry)) {
                for (Path each : files.filter(Files::isRegularFile).toList()) {
                    out.putNextEntry(new JarEntry(entry.relativize(each).toString()));
                    Files.copy(each, out);
                }
            }
        }
        return jar;
    }

    private static List<String> command(Program program, Path programs, Path directory) throws IOException {
        List<String> classPath = new ArrayList<>(List.of(programs.toString()));
        String entries = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        for (String entry : entries.split(File.pathSeparator, -1)) {
            if (program.libraries.matcher(entry).find()) {
                classPath.add(jarOf(Path.of(entry), directory).toString());
            }
        }
        return List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                String.join(File.pathSeparator, classPath),
                program.main.getName());
    }

    private static ProcessBuilder builder(List<String> command) {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().keySet().removeAll(List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"));
        return builder;
    }

    private static void train(List<Starts> all) throws IOException, InterruptedException {
        List<ChildProcess> trainings = new ArrayList<>();
        try {
            for (Starts starts : all) {
                List<String> command = new ArrayList<>(starts.command());
                command.add(1, "-XX:AOTCacheOutput=" + starts.cache());
                command.add("training");
                Path log = starts.cache().resolveSibling(starts.program() + ".log");
                trainings.add(ChildProcess.start(builder(command).redirectOutput(log.toFile())));
            }
            for (int i = 0; i < all.size(); i++) {
                int status = trainings.get(i).process().waitFor();
                Path cache = all.get(i).cache();
                if (status != 0 || !Files.exists(cache)) {
                    throw new IllegalStateException("no AOT cache was written by " + trainings.get(i) + "\n"
                            + Files.readString(cache.resolveSibling(all.get(i).program() + ".log")));
                }
            }
        } finally {
            trainings.forEach(ChildProcess::close);
        }
    }

    private static Start start(List<String> command) throws IOException {
        long start = System.nanoTime();
        try (ChildProcess child = ChildProcess.start(builder(command));
                BufferedReader output = child.process().inputReader(StandardCharsets.UTF_8)) {
            String line = output.readLine();
            double wall = (System.nanoTime() - start) / 1e6;
            if (line == null || !line.matches("\\d{1,18}")) {
                throw new IllegalStateException(
                        child + " printed " + line + "\n" + output.lines().collect(Collectors.joining("\n")));
            }
            return new Start(wall, Long.parseLong(line) / 1e6);
        }
    }

    private static PartReport report(Map<Program, Starts> all) {
        Starts empty = of(all, Program.EMPTY);
        Starts byHand = of(all, Program.BY_HAND);
        Starts ffm = of(all, Program.FFM);
        StringBuilder text =
                new StringBuilder(String.format(Locale.ROOT, """
                Each row is a JVM that exits as soon as a page is marked. It was started %d times in turn with the
                others; numbers are medians in milliseconds. *After* is the time from its start to its output, *in
                `main`* is measured inside the program, and *more* is the difference from the empty program of the same
                round. The second row is what any program pays that makes these calls through `java.lang.foreign`; the
                library's share is what `ffm` takes longer than that. The AOT cache is the JDK's (`-XX:AOTCacheOutput`,
                `-XX:AOTCache`), created for each row by one earlier run. ksm4j registers its MBeans and flight recorder
                events half a second later, in threads of its own, which these numbers do not include.

                | | after | in `main` | more | with AOT cache: after | in `main` | more |
                | --- | --- | --- | --- | --- | --- | --- |
                """, empty.plain().size()));
        for (Starts starts : all.values()) {
            text.append(String.format(
                    Locale.ROOT,
                    "| %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f |%n",
                    starts.program().label,
                    median(starts.plain(), Start::wall),
                    median(starts.plain(), Start::inMain),
                    difference(starts.plain(), empty.plain()),
                    median(starts.cached(), Start::wall),
                    median(starts.cached(), Start::inMain),
                    difference(starts.cached(), empty.cached())));
        }
        return new PartReport(
                text.toString(),
                Map.of(),
                List.of(
                        Target.maximum("startup-library-share-ffm", difference(ffm.plain(), byHand.plain()), 35),
                        Target.maximum(
                                "startup-library-share-ffm-aot", difference(ffm.cached(), byHand.cached()), 20)));
    }

    private static Starts of(Map<Program, Starts> all, Program program) {
        return Objects.requireNonNull(all.get(program), program.label);
    }

    private static double median(List<Start> starts, ToDoubleFunction<Start> time) {
        return Median.of(starts.stream().mapToDouble(time).toArray());
    }

    /**
     * Returns the median difference, compared round by round, because a disturbance of the machine affects both
     * programs.
     */
    private static double difference(List<Start> starts, List<Start> than) {
        return Median.of(IntStream.range(0, starts.size())
                .mapToDouble(i -> starts.get(i).wall() - than.get(i).wall())
                .toArray());
    }
}
