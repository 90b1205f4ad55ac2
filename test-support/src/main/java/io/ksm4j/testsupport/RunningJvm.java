// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.testsupport;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.awaitility.Awaitility.await;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/**
 * A running JVM that a test talks to: it reads the lines that the JVM prints and answers by single bytes. Closing this
 * object kills the JVM.
 */
public final class RunningJvm implements AutoCloseable {

    private final Process process;
    private final BufferedReader output;

    private RunningJvm(Process process) {
        this.process = process;
        this.output = process.inputReader(StandardCharsets.UTF_8);
    }

    /** Starts a main class with a small heap. */
    public static RunningJvm start(Class<?> main, String... arguments) {
        return start(List.of(), List.of("-Xmx64m"), main, arguments);
    }

    /** Starts a main class through another command, which must become the JVM. */
    public static RunningJvm start(List<String> prefix, List<String> jvmArguments, Class<?> main, String... arguments) {
        List<String> options = new ArrayList<>(jvmArguments);
        options.add("-Dksm.required=" + Boolean.getBoolean("ksm.required"));
        List<String> command = new ArrayList<>(prefix);
        command.addAll(JavaCommand.of(options, main.getName(), arguments));
        return start(command);
    }

    /** Runs a command that becomes a JVM. */
    public static RunningJvm start(List<String> command) {
        try {
            return new RunningJvm(new ProcessBuilder(DefaultSignals.with(command))
                    .redirectErrorStream(true)
                    .start());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Returns its PID. */
    public long pid() {
        return process.pid();
    }

    /** Reads up to this line. */
    public void awaitLine(String expected) {
        awaitLine(expected, expected::equals);
    }

    /** Reads up to a line that contains this text, and returns the line. */
    public String awaitLineThatContains(String part) {
        return awaitLine(part, line -> line.contains(part));
    }

    /** Reads up to a line that starts with this text, and returns the rest of the line. */
    public String awaitLineThatStartsWith(String start) {
        return awaitLine(start, line -> line.startsWith(start)).substring(start.length());
    }

    /** If the line never comes, the error shows all lines before. */
    private String awaitLine(String expected, Predicate<String> isExpected) {
        List<String> seen = new ArrayList<>();
        try {
            for (String line = output.readLine(); line != null; line = output.readLine()) {
                if (isExpected.test(line)) {
                    return line;
                }
                seen.add(line);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        throw new AssertionError("the child did not print \"" + expected + "\" but " + seen + " and "
                + (exits() ? "exited with " + process.exitValue() : "still runs"));
    }

    private boolean exits() {
        try {
            return process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** Returns whether it has printed anything that was not read yet. */
    public boolean hasPrintedMore() {
        try {
            return output.ready();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Writes one byte to its standard input. */
    public void proceed() {
        try {
            process.getOutputStream().write('\n');
            process.getOutputStream().flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Closes its standard input, and waits until it exits. */
    public int finish() {
        try {
            process.getOutputStream().close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return awaitExit();
    }

    /**
     * Sends SIGTERM, and waits until it exits. Leaves its standard input open, which {@code Process.destroy} would
     * close.
     */
    public int terminate() {
        if (!process.toHandle().destroy()) {
            throw new AssertionError("SIGTERM could not be sent");
        }
        return awaitExit();
    }

    /** Sends SIGSTOP, and waits until it is stopped. It can still be killed. */
    public void stop() {
        EndedProcess.run(List.of("kill", "-STOP", Long.toString(pid())));
        Path status = Path.of("/proc", Long.toString(pid()), "status");
        await().atMost(PATIENCE).until(() -> Files.readString(status).contains("\nState:\tT"));
    }

    /** Waits until it exits, and returns its exit status. */
    public int awaitExit() {
        if (!exits()) {
            throw new AssertionError("the child did not exit");
        }
        return process.exitValue();
    }

    /** Kills it, and waits until it has ended. */
    public void kill() {
        process.destroyForcibly();
        awaitExit();
    }

    /**
     * Kills it. A JVM that is killed leaves the socket through which tools attached to it, and another user's JVM with
     * the same PID could not be attached to then.
     */
    @Override
    public void close() {
        process.destroyForcibly();
        try {
            Files.deleteIfExists(Path.of("/tmp/.java_pid" + pid()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
