package io.ksm4j.it;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.testsupport.Directories;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A JVM that was started by a test and has ended.
 *
 * @param exitStatus 0, or what the program or the JVM says went wrong; 128 and more for a signal
 * @param output both of its streams
 * @param crashReports the {@code hs_err} files it left
 */
record ChildJvm(int exitStatus, String output, List<Path> crashReports) {

    /** Makes a JVM that lives for seconds start soon. A collector that is named after it would contradict it. */
    static final List<String> SHORT_LIVED = List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC");

    /** Runs {@code java} of a JDK in a new directory and waits for it. */
    static ChildJvm run(Path javaHome, List<String> arguments) {
        return run(javaHome, PATIENCE, arguments);
    }

    /** The same; a child that takes longer than {@code patience} fails. */
    static ChildJvm run(Path javaHome, Duration patience, List<String> arguments) {
        return run(List.of(), javaHome, patience, arguments);
    }

    /** The same, started by another command, which must become the JVM. */
    static ChildJvm run(List<String> prefix, Path javaHome, Duration patience, List<String> arguments) {
        try {
            Path folder = Directories.create("child");
            Path output = folder.resolve("output");
            List<String> command = new ArrayList<>(prefix);
            command.add(javaHome.resolve("bin/java").toString());
            command.add("-XX:ErrorFile=" + folder.resolve("hs_err.log"));
            command.addAll(arguments);
            Process process = new ProcessBuilder(command)
                    .directory(folder.toFile())
                    .redirectErrorStream(true)
                    .redirectOutput(output.toFile())
                    .start();
            try {
                boolean ended = process.waitFor(patience);
                String printed = Files.readString(output);
                if (!ended) {
                    throw new AssertionError("not ended in " + patience + ": " + command + "\n" + printed + "\n"
                            + threads(process.pid(), folder.resolve("threads")));
                }
                ChildJvm child = new ChildJvm(process.exitValue(), printed, crashReports(folder));
                if (child.crashReports.isEmpty()) {
                    Files.delete(output);
                    deleteIfEmpty(folder);
                }
                return child;
            } finally {
                process.destroyForcibly();
                // One that was attached to leaves it when it is killed.
                Files.deleteIfExists(Path.of("/tmp/.java_pid" + process.pid()));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** What the threads of a JVM do, platform threads with what they lock, and virtual threads. Leaves a file. */
    static String threads(long pid, Path dump) throws IOException {
        String threads = jcmd(pid, "Thread.print") + jcmd(pid, "Thread.dump_to_file", "-overwrite", dump.toString());
        return Files.exists(dump) ? threads + Files.readString(dump) : threads;
    }

    /** A JVM that hangs as a whole does not answer. */
    private static String jcmd(long pid, String... command) {
        String jcmd = Path.of(System.getProperty("java.home"), "bin", "jcmd").toString();
        List<String> all = new ArrayList<>(List.of("timeout", "60", jcmd, Long.toString(pid)));
        all.addAll(List.of(command));
        KsmProcess answer = KsmProcess.runCommand(all);
        return answer.output() + answer.errors();
    }

    /** Runs a main class of these tests on the JDK and the class path that the tests run on. */
    static ChildJvm run(Class<?> main, List<String> jvmArguments, String... arguments) {
        return run(List.of(), main, jvmArguments, arguments);
    }

    /** Has another command start it, which must become the JVM. */
    static ChildJvm run(List<String> prefix, Class<?> main, List<String> jvmArguments, String... arguments) {
        List<String> all = new ArrayList<>(SHORT_LIVED);
        all.addAll(jvmArguments);
        all.addAll(List.of("-ea", "--enable-native-access=ALL-UNNAMED", "-cp", classPath(), main.getName()));
        all.addAll(List.of(arguments));
        return run(prefix, Path.of(System.getProperty("java.home")), PATIENCE, all);
    }

    static String classPath() {
        return System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    }

    /** A copy of the class path, since the user may lack the right to look into the original's folders. */
    static String readableClassPath(Path folder) throws IOException {
        return readableCopy(folder, List.of(classPath().split(File.pathSeparator, -1)));
    }

    /** The same of some entries. */
    static String readableCopy(Path folder, List<String> entries) throws IOException {
        List<String> copies = new ArrayList<>();
        for (String entry : entries) {
            Path original = Path.of(entry);
            Path copy = folder.resolve(copies.size() + "-" + original.getFileName());
            copies.add(copy.toString());
            try (Stream<Path> files = Files.walk(original)) {
                files.forEach(from -> copy(from, copy.resolve(original.relativize(from))));
            }
        }
        return String.join(File.pathSeparator, copies);
    }

    private static void copy(Path from, Path to) {
        try {
            if (Files.isDirectory(from)) {
                Files.createDirectory(to);
            } else {
                Files.copy(from, Files.isDirectory(to) ? to.resolve(from.getFileName()) : to);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    ChildJvm assertEndedWell() {
        assertThat(crashReports).as(output).isEmpty();
        assertThat(exitStatus).as(output).isZero();
        return this;
    }

    private static List<Path> crashReports(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.getFileName().toString().startsWith("hs_err"))
                    .toList();
        }
    }

    private static void deleteIfEmpty(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            if (files.findAny().isPresent()) {
                return;
            }
        }
        Files.delete(folder);
    }
}
