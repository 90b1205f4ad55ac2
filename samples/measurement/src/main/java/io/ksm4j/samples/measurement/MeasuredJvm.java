// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.measurement;

import java.io.BufferedReader;
import java.io.EOFException;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A JVM whose program reads commands, one a line, and prints {@link #READY} when it has started and after each command.
 * It ends when this JVM ends, because its standard input is then closed.
 */
public final class MeasuredJvm implements AutoCloseable {

    /** The line that ends the answer to a command. */
    public static final String READY = "ready";

    private final Process process;
    private final BufferedReader output;

    /**
     * Starts the JVM and waits until it is ready.
     *
     * @param arguments the options of the JVM, the class, and its arguments; the class path is that of this JVM
     * @throws IOException if it ends before it is ready
     */
    public MeasuredJvm(List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-cp", System.getProperty("java.class.path")));
        ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .filter(argument -> argument.matches("(--enable-native-access|-Dio\\.ksm4j\\.).*"))
                .forEach(command::add);
        // A compiler that needs little memory, because its memory is not what is measured.
        command.add("-XX:TieredStopAtLevel=1");
        command.addAll(arguments);
        process = new ProcessBuilder(command).redirectError(Redirect.INHERIT).start();
        output = process.inputReader(StandardCharsets.UTF_8);
        boolean isReady = false;
        try {
            awaitReady().forEach(System.err::println);
            isReady = true;
        } catch (IOException e) {
            throw explained(e);
        } finally {
            if (!isReady) {
                close();
            }
        }
    }

    /**
     * Lets the program execute a command, and waits until it has done so.
     *
     * @param command a line
     * @return the lines that the program has printed
     * @throws IOException if the JVM has ended
     */
    public List<String> execute(String command) throws IOException {
        try {
            process.getOutputStream().write((command + "\n").getBytes(StandardCharsets.UTF_8));
            process.getOutputStream().flush();
            return awaitReady();
        } catch (IOException e) {
            throw explained(e);
        }
    }

    private List<String> awaitReady() throws IOException {
        List<String> printed = new ArrayList<>();
        String line;
        while ((line = output.readLine()) != null) {
            if (line.equals(READY)) {
                return printed;
            }
            printed.add(line);
        }
        printed.forEach(System.err::println);
        throw new EOFException("the JVM has closed its output");
    }

    /** Returns an exception that gives the exit status if the JVM has ended, which is the most likely cause. */
    private IOException explained(IOException e) {
        process.onExit().completeOnTimeout(process, 1, TimeUnit.SECONDS).join();
        return process.isAlive()
                ? e
                : new IOException("a JVM of the sample has ended, with exit status " + process.exitValue(), e);
    }

    /**
     * Returns its memory.
     *
     * @return the memory now
     * @throws IOException if the JVM has ended, or the kernel does not provide a number
     */
    public ProcessMemory memory() throws IOException {
        try {
            return ProcessMemory.of(process.pid());
        } catch (IOException e) {
            throw explained(e);
        }
    }

    /**
     * Returns how much of its address space {@code ksmd} may merge.
     *
     * @return the bytes
     * @throws IOException if the JVM has ended
     */
    public long mergeable() throws IOException {
        try {
            return ProcessMemory.mergeable(process.pid());
        } catch (IOException e) {
            throw explained(e);
        }
    }

    /** Kills the JVM, and waits until it has ended. */
    @Override
    public void close() {
        process.destroyForcibly();
        process.onExit().join();
    }
}
