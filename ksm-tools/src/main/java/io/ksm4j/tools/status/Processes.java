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
 * The machine's processes that have something to do with merging: pages that are merged or that {@code ksmd} keeps records of, or
 * memory that may merge.
 *
 * @param known those that could be read, the one that merging does most for first
 * @param hidden how many could not be read, for want of rights; empty if unknown, since {@code /proc} does not list them
 */
public record Processes(List<ProcessInfo> known, OptionalInt hidden) {

    private static final Path ROOT = Path.of("/");

    private static final Path PROC = Path.of("/proc");

    /** Options of {@code java} that take the next argument for their value. */
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
     * Reads them all. Those that end meanwhile are left out.
     *
     * @throws UncheckedIOException if {@code /proc} cannot be read, or holds something else than it should
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

    /** Under {@code hidepid=1} the kernel answers {@code EPERM}, for which Java has no exception of its own. */
    private static boolean isDenied(UncheckedIOException e, Path directory) {
        return e.getCause() instanceof AccessDeniedException
                || (Files.isDirectory(directory) && !Files.isReadable(directory));
    }

    /**
     * Reads one, which need not have to do with merging.
     *
     * @throws IllegalArgumentException if {@code pid} is not positive
     * @throws CommandFailedException if there is none, or {@code /proc} hides it
     * @throws UncheckedIOException as {@link ProcessKsmStats#read(long)}
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
                    "no right to look at process " + pid + ", since /proc is mounted with hidepid: ask as root", e);
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
                        ? ", or it is another user's, which hidepid hides: ask as root"
                        : ""));
    }

    /** What merging does for a process, which is not over when its first thread is. */
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
     * Where the files of a process are: {@code /proc/PID}, or, since what is in there is empty once the first thread has ended, those of
     * another thread.
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
            // All have.
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

    /** Whether the kernel counts pages of it that may not merge any more: they go from its counters in the next scan. */
    public static boolean isStale(ProcessKsmStats stats) {
        return isCounted(stats) && !stats.mergeable().orElse(true);
    }

    /** Whether the kernel counts pages that are merged, or keeps records of some. */
    public static boolean isCounted(ProcessKsmStats stats) {
        return stats.mergingPages().orElse(0) > 0
                || stats.zeroPages().orElse(0) > 0
                || stats.rmapItems().orElse(0) > 0;
    }

    /** Says that there are others; empty if there are none. */
    public Optional<String> ofOthers() {
        if (hidden.isEmpty()) {
            return Optional.of("Processes of other users are hidden by hidepid: root sees them");
        }
        return hidden.getAsInt() == 0
                ? Optional.empty()
                : Optional.of(hidden.getAsInt() + " processes of other users could not be read: root can");
    }

    private static boolean concerns(ProcessKsmStats stats) {
        return isCounted(stats) || stats.mergeable().orElse(false);
    }

    /** The main class of a JVM, or what the kernel calls the process; a question mark if it has ended. */
    public static String nameOf(long pid) {
        Path directory = directory(pid);
        String name = nameByArguments(List.of(read(directory.resolve("cmdline")).split("\0", -1)));
        if (name.isEmpty()) {
            name = read(PROC.resolve(pid + "/comm")).strip();
        }
        // It may hold anything, and goes to a terminal.
        name = name.replaceAll("[^\\p{Print}\\p{L}]", "?");
        return name.isEmpty() ? "?" : name;
    }

    /** Empty if this is no JVM that the launcher {@code java} has started. */
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
                return "java " + argument; // The rest is in that file.
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
