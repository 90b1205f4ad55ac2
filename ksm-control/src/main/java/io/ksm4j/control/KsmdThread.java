// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.internal.Descriptors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/**
 * The kernel thread {@code ksmd}, for its CPU time, which is the cost of merging. Any user may read it. Immutable, and
 * safe for use by multiple threads.
 *
 * @since 0.1.0
 */
public final class KsmdThread {

    private static final String KTHREADD = "2";

    /** Milliseconds of one clock tick: USER_HZ is 100 on every architecture that a JVM runs on. */
    private static final long TICK = 10;

    /** The thread's directory in {@code /proc}. */
    private final Path directory;

    private KsmdThread(Path directory) {
        this.directory = directory;
    }

    /**
     * Searches the processes of this machine for the thread, which takes some milliseconds. The thread runs as long as
     * the machine does, so the result can be kept.
     *
     * @return the thread; empty on a kernel without KSM, and where {@code /proc} hides kernel threads, as in most
     *     containers
     * @throws UncheckedIOException if {@code /proc} cannot be read
     */
    public static Optional<KsmdThread> find() {
        return find(Path.of("/"));
    }

    static Optional<KsmdThread> find(Path root) {
        try (DirectoryStream<Path> processes = Files.newDirectoryStream(root.resolve("proc"), "[0-9]*")) {
            for (Path process : processes) {
                String text = readStat(process);
                ProcessStat stat = new ProcessStat(text);
                // Any user can give a program this name, but only a kernel thread has kthreadd as its parent.
                if (text.contains(" (ksmd) ") && stat.has(4) && stat.field(4).equals(KTHREADD)) {
                    return Optional.of(new KsmdThread(process));
                }
            }
            return Optional.empty();
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot look for ksmd: " + Descriptors.reason(e), e);
        }
    }

    /** {@return the content of {@code stat}; empty if it cannot be read, as of a process that has just ended} */
    private static String readStat(Path process) {
        try {
            return Files.readString(process.resolve("stat"), StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            if (Descriptors.areUsedUp()) {
                throw new UncheckedIOException("cannot read " + process + "/stat: " + Descriptors.USED_UP, e);
            }
            return "";
        }
    }

    /**
     * Returns the CPU time of the thread since the machine started: user and system time from {@code /proc/PID/stat},
     * fields 14 and 15 of proc_pid_stat(5).
     *
     * @return the time, in steps of the kernel's clock tick, 10 ms
     * @throws UncheckedIOException if the file cannot be read, or is malformed
     */
    public Duration cpuTime() {
        ProcessStat stat = new ProcessStat(readStat(directory));
        try {
            return Duration.ofMillis(TICK * (Long.parseLong(stat.field(14)) + Long.parseLong(stat.field(15))));
        } catch (NumberFormatException | ArrayIndexOutOfBoundsException e) {
            throw new UncheckedIOException(new IOException(directory.resolve("stat") + " contains '" + stat + "'", e));
        }
    }
}
