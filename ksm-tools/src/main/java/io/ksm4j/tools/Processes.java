package io.ksm4j.tools;

import io.ksm4j.stats.ProcessKsmStats;
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
import java.util.Set;

/**
 * The machine's processes that have something to do with merging: pages that are merged or that {@code ksmd} keeps records of, or
 * memory that may merge.
 *
 * @param known those that could be read, the one that merging does most for first
 * @param hidden how many could not be read, for want of rights
 */
record Processes(List<ProcessInfo> known, int hidden) {

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
    static Processes read() {
        List<ProcessInfo> known = new ArrayList<>();
        int hidden = 0;
        try (DirectoryStream<Path> folders = Files.newDirectoryStream(PROC, "[0-9]*")) {
            for (Path folder : folders) {
                long pid = Long.parseLong(folder.getFileName().toString());
                try {
                    ProcessKsmStats stats = ProcessKsmStats.read(pid);
                    if (concerns(stats)) {
                        known.add(new ProcessInfo(pid, nameOf(pid), stats));
                    }
                } catch (UncheckedIOException e) {
                    if (e.getCause() instanceof AccessDeniedException) {
                        hidden++;
                    } else if (Files.isDirectory(folder)) {
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
        return new Processes(List.copyOf(known), hidden);
    }

    /**
     * Reads one, which need not have to do with merging.
     *
     * @throws IllegalArgumentException if {@code pid} is not positive
     * @throws UncheckedIOException as {@link ProcessKsmStats#read(long)}
     */
    static ProcessInfo read(long pid) {
        return new ProcessInfo(pid, nameOf(pid), ProcessKsmStats.read(pid));
    }

    private static boolean concerns(ProcessKsmStats stats) {
        return stats.mergingPages().orElse(0) > 0
                || stats.zeroPages().orElse(0) > 0
                || stats.rmapItems().orElse(0) > 0
                || stats.mergeable().orElse(false);
    }

    /** The main class of a JVM, or what the kernel calls the process; a question mark if it has ended. */
    static String nameOf(long pid) {
        Path folder = PROC.resolve(Long.toString(pid));
        String name = nameByArguments(List.of(read(folder.resolve("cmdline")).split("\0", -1)));
        if (name.isEmpty()) {
            name = read(folder.resolve("comm")).strip();
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
