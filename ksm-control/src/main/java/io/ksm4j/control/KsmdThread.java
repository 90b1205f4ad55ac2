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
 * The kernel's thread {@code ksmd}, by what merging costs: its processor time. Any user may read it, and nothing is ever changed.
 * Immutable, and so safe for use by many threads.
 */
public final class KsmdThread {

    private static final int KTHREADD = 2;

    /** USER_HZ, which is 100 on every architecture that a JVM runs on. */
    private static final long TICK = 10;

    private final Path folder;

    private KsmdThread(Path folder) {
        this.folder = folder;
    }

    /**
     * Looks for it among the processes of this machine, which takes some milliseconds. It lives as long as the machine is up.
     *
     * @return the thread; empty on a kernel without KSM, and where {@code /proc} does not show the kernel's threads, as in most
     *     containers
     * @throws UncheckedIOException if {@code /proc} cannot be read
     */
    public static Optional<KsmdThread> find() {
        return find(Path.of("/"));
    }

    static Optional<KsmdThread> find(Path root) {
        try (DirectoryStream<Path> processes = Files.newDirectoryStream(root.resolve("proc"), "[0-9]*")) {
            for (Path process : processes) {
                String stat = stat(process);
                String[] fields = PlainFile.statFields(stat);
                // Any user can call a program so, but not have the kernel's own thread for its parent.
                if (stat.contains(" (ksmd) ") && fields.length > 1 && fields[1].equals(Integer.toString(KTHREADD))) {
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

    /** Empty if it is not there or cannot be read: a process has ended meanwhile. */
    private static String stat(Path process) {
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
     * How long it has been on a processor since the machine started: user and system time of {@code /proc/PID/stat}, fields 14 and
     * 15 of proc_pid_stat(5).
     *
     * @return the time, in steps of the kernel's clock tick, 10 ms
     * @throws UncheckedIOException if the file cannot be read, or holds something else than it should
     */
    public Duration cpuTime() {
        String stat = stat(folder);
        String[] fields = PlainFile.statFields(stat);
        try {
            return Duration.ofMillis(TICK * (Long.parseLong(fields[11]) + Long.parseLong(fields[12])));
        } catch (NumberFormatException | ArrayIndexOutOfBoundsException e) {
            throw new UncheckedIOException(
                    new IOException(folder.resolve("stat") + " holds '" + stat.strip() + "'", e));
        }
    }
}
