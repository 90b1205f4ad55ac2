package io.ksm4j.kernels;

import static io.ksm4j.testsupport.Patience.PATIENCE;

import io.ksm4j.testsupport.Directories;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Another JVM with the class path of this one, spoken to by lines. It dies with this object. */
final class Jvm implements AutoCloseable {

    private static final int FIRST_WITH_NATIVE_ACCESS = 22;

    /**
     * One that has ended.
     *
     * @param status its exit status; 128 and more for a signal
     * @param output what it wrote to standard output
     * @param errors what it wrote to standard error
     */
    record Ended(int status, String output, String errors) {}

    private final Process process;
    private final BufferedReader output;

    private Jvm(Process process) {
        this.process = process;
        this.output = process.inputReader(StandardCharsets.UTF_8);
    }

    /** How to start a main class. */
    static List<String> command(String main, String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx64m"));
        if (Runtime.version().feature() >= FIRST_WITH_NATIVE_ACCESS) {
            command.add("--enable-native-access=ALL-UNNAMED");
        }
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), main));
        command.addAll(List.of(arguments));
        return command;
    }

    /** Runs the command {@code ksm} to its end. */
    static Ended ksm(String... arguments) {
        return run(command("io.ksm4j.tools.KsmCommand", arguments));
    }

    /** Runs a command to its end, with an empty standard input. */
    static Ended run(List<String> command) {
        try {
            Path output = Directories.createFile("output");
            Path errors = Directories.createFile("errors");
            Process process = new ProcessBuilder(command)
                    .redirectInput(new File("/dev/null"))
                    .redirectOutput(output.toFile())
                    .redirectError(errors.toFile())
                    .start();
            try {
                int status = exitStatus(process);
                return new Ended(status, Files.readString(output), Files.readString(errors));
            } finally {
                process.destroyForcibly();
                Files.delete(output);
                Files.delete(errors);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Has another command start a main class of these tests, which must become the JVM. */
    static Jvm start(List<String> prefix, Class<?> main, String... arguments) {
        List<String> command = new ArrayList<>(prefix);
        command.addAll(command(main.getName(), arguments));
        try {
            return new Jvm(new ProcessBuilder(command).redirectErrorStream(true).start());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    long pid() {
        return process.pid();
    }

    /** Reads up to a line that starts so, and returns the rest of it; all that came before is in the error if it never comes. */
    String awaitLine(String start) {
        List<String> seen = new ArrayList<>();
        try {
            for (String line = output.readLine(); line != null; line = output.readLine()) {
                if (line.startsWith(start)) {
                    return line.substring(start.length());
                }
                seen.add(line);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        throw new AssertionError(
                "the child never said \"" + start + "\" but " + seen + ", and exited with " + exitStatus(process));
    }

    /** Gives a child that reads one byte at a time the next. */
    void proceed() {
        try {
            process.getOutputStream().write('\n');
            process.getOutputStream().flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    int awaitExit() {
        return exitStatus(process);
    }

    void kill() {
        process.destroyForcibly();
        exitStatus(process);
    }

    private static int exitStatus(Process process) {
        try {
            if (!process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
                throw new AssertionError("has not ended: " + process.info());
            }
            return process.exitValue();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }
}
