// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.status;

import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.tools.linux.ProcMount;
import io.ksm4j.tools.linux.ProcessStatus;
import io.ksm4j.tools.output.CommandFailedException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.Charset;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * The processes that merging concerns: they have merged pages, mergeable memory, or pages that {@code ksmd} keeps
 * records of.
 *
 * @param known the processes that could be read, by decreasing profit
 * @param hidden how many could not be read, for lack of permission; empty if unknown, because {@code /proc} does not
 *     list them
 */
public record Processes(List<ProcessInfo> known, OptionalInt hidden) {

    private static final Path ROOT = Path.of("/");

    private static final Path PROC = Path.of("/proc");

    /** Options of {@code java} whose value is the next argument. */
    private static final Set<String> WITH_VALUE = Set.of(
            "-cp",
            "-classpath",
            "--class-path",
            "-p",
            "--module-path",
            "--upgrade-module-path",
            "--add-modules",
            "--limit-modules",
            "--add-exports",
            "--add-opens",
            "--add-reads",
            "--patch-module",
            "--enable-native-access",
            "--source");

    /**
     * Reads all processes, except those that end during reading.
     *
     * @throws UncheckedIOException if {@code /proc} cannot be read or has unexpected content
     */
    public static Processes read() {
        List<ProcessInfo> known = new ArrayList<>();
        int hidden = 0;
        try (DirectoryStream<Path> directories = Files.newDirectoryStream(PROC, "[0-9]*")) {
            for (Path directory : directories) {
                long pid = Long.parseLong(directory.getFileName().toString());
                try {
                    ProcessKsmStats stats = stats(pid);
                    if (concerns(stats)) {
                        known.add(new ProcessInfo(pid, nameOf(pid), stats));
                    }
                } catch (UncheckedIOException e) {
                    if (isDenied(e, directory)) {
                        hidden++;
                    } else if (Files.isDirectory(directory)) {
                        throw e;
                    }
                }
            }
        } catch (DirectoryIteratorException e) {
            throw new UncheckedIOException(e.getCause());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        known.sort(Comparator.comparingLong(
                        (ProcessInfo process) -> process.stats().profitBytes().orElse(0))
                .reversed()
                .thenComparingLong(ProcessInfo::pid));
        boolean areListed = !ProcMount.read(ROOT).hidesOthers();
        return new Processes(List.copyOf(known), areListed ? OptionalInt.of(hidden) : OptionalInt.empty());
    }

    /** With {@code hidepid=1} the kernel returns {@code EPERM}, for which Java has no exception of its own. */
    private static boolean isDenied(UncheckedIOException e, Path directory) {
        return e.getCause() instanceof AccessDeniedException
                || (Files.isDirectory(directory) && !Files.isReadable(directory));
    }

    /**
     * Reads a process, even if merging does not concern it.
     *
     * @throws IllegalArgumentException if {@code pid} is not positive
     * @throws CommandFailedException if there is no such process, or {@code /proc} hides it
     * @throws UncheckedIOException like {@link ProcessKsmStats#read(long)}
     */
    public static ProcessInfo read(long pid) {
        Path directory = PROC.resolve(Long.toString(pid));
        requireShown(pid, directory);
        try {
            return new ProcessInfo(pid, nameOf(pid), stats(pid));
        } catch (UncheckedIOException e) {
            requireShown(pid, directory);
            if (e.getCause() instanceof AccessDeniedException || !isDenied(e, directory)) {
                throw e;
            }
            throw new CommandFailedException(
                    "no permission to read process " + pid + ", because /proc is mounted with hidepid: run as root", e);
        }
    }

    private static void requireShown(long pid, Path directory) {
        if (Files.isDirectory(directory)) {
            return;
        }
        if (!Files.isDirectory(PROC.resolve("self"))) {
            throw new CommandFailedException("/proc is not mounted: mount -t proc proc /proc");
        }
        throw new CommandFailedException("there is no process " + pid
                + (ProcMount.read(ROOT).hidesOthers()
                        ? ", or it belongs to another user and hidepid hides it: run as root"
                        : ""));
    }

    /** Returns what merging does for a process. A process does not end with its first thread. */
    public static ProcessKsmStats stats(long pid) {
        ProcessKsmStats stats = ProcessKsmStats.read(pid);
        if (!stats.entries().isEmpty() || stats.mergingPages().isPresent()) {
            return stats;
        }
        Path directory = directory(pid);
        return directory.equals(PROC.resolve(Long.toString(pid)))
                ? stats
                : ProcessKsmStats.read(Long.parseLong(directory.getFileName().toString()));
    }

    /**
     * Returns the directory with the files of a process: {@code /proc/PID}, or that of another thread if the first
     * thread has ended, because the files of an ended thread are empty.
     */
    public static Path directory(long pid) {
        Path directory = PROC.resolve(Long.toString(pid));
        if (!hasEnded(directory)) {
            return directory;
        }
        try (DirectoryStream<Path> threads = Files.newDirectoryStream(directory.resolve("task"))) {
            for (Path thread : threads) {
                if (!hasEnded(thread)) {
                    return thread;
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            // All have ended.
        }
        return directory;
    }

    private static boolean hasEnded(Path thread) {
        try {
            return ProcessStatus.read(thread).hasEnded();
        } catch (IOException e) {
            return true;
        }
    }

    /**
     * {@return whether the kernel still counts pages that may not merge any more} It corrects that in the next scan.
     */
    public static boolean isStale(ProcessKsmStats stats) {
        return isCounted(stats) && !stats.mergeable().orElse(true);
    }

    /** {@return whether the kernel counts merged pages of a process, or keeps records of its pages} */
    public static boolean isCounted(ProcessKsmStats stats) {
        return stats.mergingPages().orElse(0) > 0
                || stats.zeroPages().orElse(0) > 0
                || stats.rmapItems().orElse(0) > 0;
    }

    /** Returns a message about processes that could not be read; empty if there are none. */
    public Optional<String> ofOthers() {
        if (hidden.isEmpty()) {
            return Optional.of("hidepid hides processes of other users: run as root to see them");
        }
        return hidden.getAsInt() == 0
                ? Optional.empty()
                : Optional.of(hidden.getAsInt() + " processes of other users could not be read: run as root");
    }

    private static boolean concerns(ProcessKsmStats stats) {
        return isCounted(stats) || stats.mergeable().orElse(false);
    }

    /**
     * Returns the main class of a JVM, or the kernel's name of another process; a question mark if the process has
     * ended.
     */
    public static String nameOf(long pid) {
        Path directory = directory(pid);
        String name = nameByArguments(List.of(read(directory.resolve("cmdline")).split("\0", -1)));
        if (name.isEmpty()) {
            name = read(PROC.resolve(pid + "/comm")).strip();
        }
        // The name may contain anything, and goes to a terminal.
        name = name.replaceAll("[^\\p{Print}\\p{L}]", "?");
        return name.isEmpty() ? "?" : name;
    }

    /** Returns the main class or jar; empty if the launcher {@code java} did not start the process. */
    static String nameByArguments(List<String> arguments) {
        String program = arguments.get(0);
        if (!program.equals("java") && !program.endsWith("/java")) {
            return "";
        }
        for (int i = 1; i < arguments.size(); i++) {
            String argument = arguments.get(i);
            boolean hasNext = i + 1 < arguments.size();
            if (argument.equals("-jar") && hasNext) {
                return arguments.get(i + 1).replaceAll(".*/", "");
            }
            if ((argument.equals("-m") || argument.equals("--module")) && hasNext) {
                return arguments.get(i + 1);
            }
            if (argument.startsWith("--module=")) {
                return argument.substring("--module=".length());
            }
            if (WITH_VALUE.contains(argument)) {
                i++;
            } else if (argument.startsWith("@")) {
                return "java " + argument; // The rest is in the argument file.
            } else if (!argument.startsWith("-")) {
                return argument;
            }
        }
        return "";
    }

    private static String read(Path file) {
        try {
            return new String(Files.readAllBytes(file), Charset.defaultCharset());
        } catch (IOException e) {
            return "";
        }
    }
}
