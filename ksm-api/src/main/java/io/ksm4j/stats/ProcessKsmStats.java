// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import static io.ksm4j.stats.Derived.bytes;
import static io.ksm4j.stats.Derived.ratio;
import static io.ksm4j.stats.Derived.sum;

import io.ksm4j.internal.linux.KernelText;
import io.ksm4j.internal.linux.PageSize;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * KSM statistics of one process at one time: the files {@code ksm_stat} (since Linux 6.1) and {@code ksm_merging_pages}
 * (since Linux 5.19) in {@code /proc/PID}. Immutable, and therefore safe for use by multiple threads.
 *
 * <p>Values that the kernel does not provide are absent, never 0, and so are values derived from them. On a kernel
 * without these files, for kernel threads, and for zombie processes, all values are absent. Values above
 * {@link Long#MAX_VALUE}, and negative counts, are kernel counters that have wrapped around; they are absent, and their
 * text is in {@link #entries}.
 *
 * <p>The formulas are those of the kernel document {@code Documentation/admin-guide/mm/ksm.rst}, as of Linux 6.18,
 * section <i>Monitoring KSM profit</i>.
 *
 * @since 0.1.0
 */
public final class ProcessKsmStats {

    private static final Path ROOT = Path.of("/");

    private final long pid;
    private final long pageSize;
    private final Path file;
    private final Map<String, String> entries;
    private final OptionalLong mergingPages;

    private ProcessKsmStats(Path directory, long pid, long pageSize) throws IOException {
        this.pid = pid;
        this.pageSize = pageSize;
        this.file = directory.resolve("ksm_stat");
        byte[] buffer = new byte[KernelText.BUFFER];
        KernelText stat = KernelText.readIfThere(file, buffer);
        if (stat != null) {
            stat.requireLineEnd();
        }
        this.entries = stat == null ? Map.of() : Collections.unmodifiableMap(stat.values());
        this.mergingPages =
                entries.containsKey("ksm_merging_pages") ? count("ksm_merging_pages") : mergingPages(directory, buffer);
        // Malformed values are reported now, not on access.
        rmapItems();
        zeroPages();
        processProfit();
        mergeAny();
        mergeable();
    }

    private static OptionalLong mergingPages(Path directory, byte[] buffer) throws IOException {
        Path file = directory.resolve("ksm_merging_pages");
        KernelText text = KernelText.readIfThere(file, buffer);
        if (text == null) {
            return OptionalLong.empty();
        }
        text.requireLineEnd();
        return KernelText.count(file, text.withoutLineEnd());
    }

    /**
     * Reads the statistics of this process. Without {@code /proc}, all values are absent.
     *
     * @return the current statistics
     * @throws UncheckedIOException if a file cannot be read or is malformed; the message names the file
     */
    public static ProcessKsmStats read() {
        return readDirectory(ROOT.resolve("proc/self"), ProcessHandle.current().pid(), PageSize.ofThisMachine());
    }

    /**
     * Reads the statistics of a process on this machine.
     *
     * @param pid the PID as seen by this process
     * @return the current statistics
     * @throws IllegalArgumentException if {@code pid} is not positive
     * @throws UncheckedIOException if there is no such process; if this process has no permission to read its files,
     *     which requires the same user or the capability {@code CAP_DAC_READ_SEARCH}; or as {@link #read()}
     */
    public static ProcessKsmStats read(long pid) {
        return readDirectory(existing(ROOT, pid), pid, PageSize.ofThisMachine());
    }

    /**
     * Reads the statistics of a process from a directory tree that contains {@code proc/PID}, such as the file systems
     * of a host mounted into a container, or a recording. If several lines have the same name, the first one counts.
     * The values of an empty file are absent.
     *
     * @param root the directory to use in place of {@code /}
     * @param pid the PID as used in the tree
     * @param pageSize the page size of that machine in bytes, a power of two
     * @return the current statistics
     * @throws IllegalArgumentException if {@code pid} is not positive, or the page size is not a positive power of two
     * @throws UncheckedIOException as {@link #read(long)}; also if the last line has no line end, because its number
     *     may be cut off
     */
    public static ProcessKsmStats read(Path root, long pid, long pageSize) {
        return readDirectory(existing(root, pid), pid, PageSize.require(pageSize));
    }

    private static Path existing(Path root, long pid) {
        if (pid <= 0) {
            throw new IllegalArgumentException("invalid PID " + pid + ": must be at least 1");
        }
        Path directory = root.resolve("proc/" + pid);
        if (!Files.isDirectory(directory)) {
            throw noSuchProcess(directory, null);
        }
        return directory;
    }

    private static UncheckedIOException noSuchProcess(Path directory, @Nullable IOException cause) {
        String message =
                directory + " does not exist: the process has ended, /proc is not mounted, or it hides the processes of"
                        + " other users or PID namespaces; check hidepid among its mount options";
        return new UncheckedIOException(message, cause != null ? cause : new NoSuchFileException(directory.toString()));
    }

    private static ProcessKsmStats readDirectory(Path directory, long pid, long pageSize) {
        try {
            return new ProcessKsmStats(directory, pid, pageSize);
        } catch (AccessDeniedException e) {
            String message = "no permission to read " + e.getFile()
                    + ": run as the user who owns the process, or with the capability CAP_DAC_READ_SEARCH";
            throw new UncheckedIOException(message, e);
        } catch (IOException e) {
            throw Files.isDirectory(directory) ? KernelText.unreadable(directory, e) : noSuchProcess(directory, e);
        }
    }

    private OptionalLong count(String name) {
        return KernelText.count(file, entries.get(name));
    }

    private Optional<Boolean> answer(String name) {
        String text = entries.get(name);
        if (text == null) {
            return Optional.empty();
        }
        return switch (text) {
            case "yes" -> Optional.of(true);
            case "no" -> Optional.of(false);
            default -> throw KernelText.garbage(file, name + ": " + text, "yes or no");
        };
    }

    /** {@return the PID of the process} */
    public long pid() {
        return pid;
    }

    /**
     * Returns all lines of {@code ksm_stat}, including those unknown to ksm4j.
     *
     * @return an unmodifiable map, sorted by name, from the name of each line, without the colon that some names end
     *     in, to the text of its value
     */
    public Map<String, String> entries() {
        return entries;
    }

    /**
     * Returns {@code ksm_rmap_items}: the number of pages of the process that {@code ksmd} keeps a record of. Since
     * Linux 6.1.
     *
     * @return pages
     */
    public OptionalLong rmapItems() {
        return count("ksm_rmap_items");
    }

    /**
     * Returns {@code ksm_zero_pages}: the number of zero-filled pages of the process that were replaced by the kernel's
     * zero page. Since Linux 6.6.
     *
     * @return pages
     */
    public OptionalLong zeroPages() {
        return count("ksm_zero_pages");
    }

    /**
     * Returns {@code ksm_merging_pages}: the number of pages of the process that are merged. Read from
     * {@code ksm_stat}, or from the file {@code ksm_merging_pages} on kernels where {@code ksm_stat} lacks it. Since
     * Linux 5.19.
     *
     * @return pages
     */
    public OptionalLong mergingPages() {
        return mergingPages;
    }

    /**
     * Returns {@code ksm_process_profit}: {@link #profitBytes} as computed by the kernel. Since Linux 6.4.
     *
     * @return bytes; negative if merging this process costs more memory than it saves
     */
    public OptionalLong processProfit() {
        return KernelText.number(file, entries.get("ksm_process_profit"));
    }

    /**
     * Returns {@code ksm_merge_any}: whether all memory of the process is mergeable, by {@code prctl}. Since Linux
     * 6.14.
     *
     * @return whether all memory is mergeable
     */
    public Optional<Boolean> mergeAny() {
        return answer("ksm_merge_any");
    }

    /**
     * Returns {@code ksm_mergeable}: whether any memory of the process is mergeable. Since Linux 6.14.
     *
     * @return whether any memory is mergeable
     */
    public Optional<Boolean> mergeable() {
        return answer("ksm_mergeable");
    }

    /**
     * Returns how much memory the process's merged pages would occupy if they were not merged:
     * ({@code ksm_merging_pages} + {@code ksm_zero_pages}) &times; page size.
     *
     * <p>One of the pages that share a page frame occupies it in any case, so the sum over all processes exceeds the
     * memory saved. On kernels that do not count zero pages, those are not included.
     *
     * @return bytes
     */
    public OptionalLong mergedBytes() {
        OptionalLong zeroPages = entries.containsKey("ksm_zero_pages") ? zeroPages() : OptionalLong.of(0);
        return bytes(sum(mergingPages, zeroPages), pageSize);
    }

    /**
     * Returns what merging this process saves minus what it costs: {@link #mergedBytes} &minus; 64 &times;
     * {@code ksm_rmap_items}.
     *
     * @return bytes; negative if merging this process costs more memory than it saves
     */
    public OptionalLong profitBytes() {
        return Derived.profit(mergedBytes(), rmapItems());
    }

    /**
     * Returns how many pages {@code ksmd} keeps a record of per merged page: {@code ksm_rmap_items} /
     * {@code ksm_merging_pages}. According to the kernel document, merging wastes memory if this exceeds page size /
     * 64, which is 64 for pages of 4 KiB.
     *
     * @return the ratio, infinite if no page has merged; absent if there are no records either
     */
    public OptionalDouble rmapItemsPerMergedPage() {
        return ratio(rmapItems(), mergingPages);
    }

    @Override
    public String toString() {
        return "ProcessKsmStats[pid=" + pid + ", mergingPages=" + mergingPages + ", entries=" + entries + "]";
    }
}
