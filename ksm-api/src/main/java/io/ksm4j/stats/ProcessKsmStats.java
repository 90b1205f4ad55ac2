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
 * What merging does for one process: the files {@code ksm_stat} (since Linux 6.1) and {@code ksm_merging_pages} (since Linux
 * 5.19) of {@code /proc/PID} at one time. Immutable, and so safe for use by many threads.
 *
 * <p>What the kernel does not tell is absent, never 0, and so is what would be derived from it; on a kernel without these files
 * that is everything. So it is for kernel threads and for processes that have ended but still have a parent to tell. Numbers
 * above {@link Long#MAX_VALUE}, and counts below zero, are counters of the kernel that have wrapped: absent, their text is in
 * {@link #entries}.
 *
 * <p>The formulas are those of the kernel document {@code Documentation/admin-guide/mm/ksm.rst}, as of Linux 6.18, section
 * <i>Monitoring KSM profit</i>.
 */
public final class ProcessKsmStats {

    private static final Path ROOT = Path.of("/");

    private final long pid;
    private final long pageSize;
    private final Path file;
    private final Map<String, String> entries;
    private final OptionalLong mergingPages;

    private ProcessKsmStats(Path folder, long pid, long pageSize) throws IOException {
        this.pid = pid;
        this.pageSize = pageSize;
        this.file = folder.resolve("ksm_stat");
        byte[] buffer = new byte[KernelText.BUFFER];
        KernelText stat = KernelText.readIfThere(file, buffer);
        if (stat != null) {
            stat.requireLineEnd();
        }
        this.entries = stat == null ? Map.of() : Collections.unmodifiableMap(stat.values());
        this.mergingPages =
                entries.containsKey("ksm_merging_pages") ? count("ksm_merging_pages") : mergingPages(folder, buffer);
        // Garbage is an error now, not when it is asked for.
        rmapItems();
        zeroPages();
        processProfit();
        mergeAny();
        mergeable();
    }

    private static OptionalLong mergingPages(Path folder, byte[] buffer) throws IOException {
        Path file = folder.resolve("ksm_merging_pages");
        KernelText text = KernelText.readIfThere(file, buffer);
        if (text == null) {
            return OptionalLong.empty();
        }
        text.requireLineEnd();
        return KernelText.count(file, text.withoutLineEnd());
    }

    /**
     * Reads the numbers of this process. Without {@code /proc} they are all absent.
     *
     * @return the numbers as they are now
     * @throws UncheckedIOException if a file cannot be read, or holds something else than it should; it names the file
     */
    public static ProcessKsmStats read() {
        return readFolder(ROOT.resolve("proc/self"), ProcessHandle.current().pid(), PageSize.ofThisMachine());
    }

    /**
     * Reads the numbers of a process of this machine.
     *
     * @param pid its number, as seen from here
     * @return the numbers as they are now
     * @throws IllegalArgumentException if {@code pid} is not positive
     * @throws UncheckedIOException if there is no such process or no right to read its files, which takes the same user or the
     *     capability {@code CAP_DAC_READ_SEARCH}; also as in {@link #read()}
     */
    public static ProcessKsmStats read(long pid) {
        return readFolder(existing(ROOT, pid), pid, PageSize.ofThisMachine());
    }

    /**
     * Reads the numbers of a process in a tree that holds {@code proc/PID}: those of a host whose file systems are mounted into
     * a container, or a recording. Of lines with the same name the first counts. An empty file says nothing.
     *
     * @param root the folder in whose place {@code /} is meant
     * @param pid the process's number, as the tree has it
     * @param pageSize the page size of that machine in bytes, a power of two
     * @return the numbers as they are now
     * @throws IllegalArgumentException if {@code pid} is not positive, or the page size is not a positive power of two
     * @throws UncheckedIOException as in {@link #read(long)}; also if the last line has no end, so that a number may be cut off
     */
    public static ProcessKsmStats read(Path root, long pid, long pageSize) {
        return readFolder(existing(root, pid), pid, PageSize.require(pageSize));
    }

    private static Path existing(Path root, long pid) {
        if (pid <= 0) {
            throw new IllegalArgumentException(pid + " is no process: they are numbered from 1");
        }
        Path folder = root.resolve("proc/" + pid);
        if (!Files.isDirectory(folder)) {
            throw noSuchProcess(folder, null);
        }
        return folder;
    }

    private static UncheckedIOException noSuchProcess(Path folder, @Nullable IOException cause) {
        String message =
                "there is no " + folder + ": the process has ended, or /proc is not mounted, or hides the processes"
                        + " of other users or of other PID namespaces: look at hidepid among its mount options";
        return new UncheckedIOException(message, cause != null ? cause : new NoSuchFileException(folder.toString()));
    }

    private static ProcessKsmStats readFolder(Path folder, long pid, long pageSize) {
        try {
            return new ProcessKsmStats(folder, pid, pageSize);
        } catch (AccessDeniedException e) {
            String message = "no right to read " + e.getFile()
                    + ": ask as the user whom the process belongs to, or with the capability CAP_DAC_READ_SEARCH";
            throw new UncheckedIOException(message, e);
        } catch (IOException e) {
            throw Files.isDirectory(folder) ? KernelText.unreadable(folder, e) : noSuchProcess(folder, e);
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

    /**
     * The process these numbers are about.
     *
     * @return its number
     */
    public long pid() {
        return pid;
    }

    /**
     * Every line of {@code ksm_stat}, those unknown to ksm4j too.
     *
     * @return the text of each value by its name, without the colon that some names end in; sorted by name, and not modifiable
     */
    public Map<String, String> entries() {
        return entries;
    }

    /**
     * {@code ksm_rmap_items}: the pages of the process that {@code ksmd} keeps a record of. Since Linux 6.1.
     *
     * @return pages
     */
    public OptionalLong rmapItems() {
        return count("ksm_rmap_items");
    }

    /**
     * {@code ksm_zero_pages}: empty pages of the process that have become the kernel's zero page. Since Linux 6.6.
     *
     * @return pages
     */
    public OptionalLong zeroPages() {
        return count("ksm_zero_pages");
    }

    /**
     * {@code ksm_merging_pages}: the pages of the process that are merged. From {@code ksm_stat}, or from the file {@code
     * ksm_merging_pages} on kernels where {@code ksm_stat} lacks it. Since Linux 5.19.
     *
     * @return pages
     */
    public OptionalLong mergingPages() {
        return mergingPages;
    }

    /**
     * {@code ksm_process_profit}: the kernel's own {@link #profitBytes}. Since Linux 6.4.
     *
     * @return bytes; less than 0 if merging this process costs more memory than it saves
     */
    public OptionalLong processProfit() {
        return KernelText.number(file, entries.get("ksm_process_profit"));
    }

    /**
     * {@code ksm_merge_any}: whether all memory of the process may merge, by {@code prctl}. Since Linux 6.14.
     *
     * @return whether it may
     */
    public Optional<Boolean> mergeAny() {
        return answer("ksm_merge_any");
    }

    /**
     * {@code ksm_mergeable}: whether any memory of the process may merge. Since Linux 6.14.
     *
     * @return whether any may
     */
    public Optional<Boolean> mergeable() {
        return answer("ksm_mergeable");
    }

    /**
     * What the process's merged pages would occupy alone: ({@code ksm_merging_pages} + {@code ksm_zero_pages}) &times; page
     * size. One of those that share a page holds it all the same, so the sum over all processes is more than what is saved.
     * Kernels that do not count zero pages leave them out.
     *
     * @return bytes
     */
    public OptionalLong mergedBytes() {
        OptionalLong zeroPages = entries.containsKey("ksm_zero_pages") ? zeroPages() : OptionalLong.of(0);
        return bytes(sum(mergingPages, zeroPages), pageSize);
    }

    /**
     * What merging this process saves less what it costs: {@link #mergedBytes} &minus; 64 &times; {@code ksm_rmap_items}.
     *
     * @return bytes; less than 0 if merging this process costs more memory than it saves
     */
    public OptionalLong profitBytes() {
        return Derived.profit(mergedBytes(), rmapItems());
    }

    /**
     * How many pages {@code ksmd} keeps a record of for each that it has merged: {@code ksm_rmap_items} / {@code
     * ksm_merging_pages}. By the kernel document merging loses memory above page size / 64, which is 64 for pages of 4 KiB.
     *
     * @return the ratio, infinite if none has merged; absent if there is no record either
     */
    public OptionalDouble rmapItemsPerMergedPage() {
        return ratio(rmapItems(), mergingPages);
    }

    @Override
    public String toString() {
        return "ProcessKsmStats[pid=" + pid + ", mergingPages=" + mergingPages + ", entries=" + entries + "]";
    }
}
