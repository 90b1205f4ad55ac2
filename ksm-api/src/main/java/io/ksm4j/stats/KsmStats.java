package io.ksm4j.stats;

import static io.ksm4j.stats.Derived.bytes;
import static io.ksm4j.stats.Derived.difference;
import static io.ksm4j.stats.Derived.ratio;
import static io.ksm4j.stats.Derived.sum;

import io.ksm4j.internal.Descriptors;
import io.ksm4j.internal.linux.KernelText;
import io.ksm4j.internal.linux.PageSize;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What merging does on the whole machine: the files of {@code /sys/kernel/mm/ksm} and the counters of {@code /proc/vmstat} at
 * one time, and what follows from them. Immutable, and so safe for use by many threads.
 *
 * <p>Kernels differ in what they count. What this kernel does not tell is absent, never 0, and so is every number that would be
 * derived from it. A number above {@link Long#MAX_VALUE} is absent too: it is a counter of the kernel that wrapped below zero.
 * Its text is in {@link #files}. Page counts are pages of the machine's page size, not of 4 KiB.
 *
 * <p>The files are read one after the other while {@code ksmd} may be at work, so numbers of one reading may differ by what it
 * did in the meantime, less than a millisecond.
 *
 * <p>The formulas are those of the kernel document {@code Documentation/admin-guide/mm/ksm.rst}, as of Linux 6.18, where it is
 * named below. They count 64 bytes for each page that {@code ksmd} keeps a record of, as 64-bit kernels do.
 */
public final class KsmStats {

    private static final Path ROOT = Path.of("/");
    private static final String KSM = "sys/kernel/mm/ksm";
    private static final String VMSTAT = "proc/vmstat";
    private static final String ADVISOR_MODE = "advisor_mode";

    /** The files that hold one number. */
    private static final Set<String> NUMBERS = Set.of(
            "advisor_max_cpu",
            "advisor_max_pages_to_scan",
            "advisor_min_pages_to_scan",
            "advisor_target_scan_time",
            "full_scans",
            "general_profit",
            "ksm_zero_pages",
            "max_kernel_pages",
            "max_page_sharing",
            "merge_across_nodes",
            "pages_scanned",
            "pages_shared",
            "pages_sharing",
            "pages_skipped",
            "pages_to_scan",
            "pages_unshared",
            "pages_volatile",
            "run",
            "sleep_millisecs",
            "smart_scan",
            "stable_node_chains",
            "stable_node_chains_prune_millisecs",
            "stable_node_dups",
            "use_zero_pages");

    /** This machine's files, once seen: which ones there are doesn't change while it runs, and listing them takes time. */
    private static volatile @Nullable List<Path> filesOfThisMachine;

    private final Path root;
    private final long pageSize;
    private final long nanoTime;
    private final boolean available;
    private final Map<String, String> files;
    private final OptionalLong cowKsm;
    private final OptionalLong ksmSwpinCopy;

    private KsmStats(Path root, long pageSize, @Nullable List<Path> names) {
        this.root = root;
        this.pageSize = pageSize;
        byte[] buffer = new byte[KernelText.BUFFER];
        this.nanoTime = System.nanoTime();
        Map<String, String> texts = new TreeMap<>();
        for (Path file : names == null ? List.<Path>of() : names) {
            String name = file.getFileName().toString();
            String text = read(file, name, buffer);
            if (text != null) {
                texts.put(name, text);
            }
        }
        this.files = Collections.unmodifiableMap(texts);
        this.available = !texts.isEmpty();
        Path file = root.resolve(VMSTAT);
        try {
            KernelText vmstat = KernelText.readIfShown(file, buffer);
            if (vmstat != null) {
                vmstat.requireLineEnd();
            }
            this.cowKsm = KernelText.count(file, vmstat == null ? null : vmstat.valueOf("cow_ksm"));
            this.ksmSwpinCopy = KernelText.count(file, vmstat == null ? null : vmstat.valueOf("ksm_swpin_copy"));
        } catch (IOException e) {
            throw KernelText.unreadable(file, e);
        }
    }

    /**
     * Reads the numbers of this machine. The cost is that of opening and reading some 25 small files.
     *
     * <p>Never fails for what is not there: where there is no Linux, no KSM in the kernel, or a container hides the files, all
     * numbers are absent. A file that this process has no right to read counts as not there.
     *
     * @return the numbers as they are now
     * @throws UncheckedIOException if a file cannot be read for another reason, or holds something else than this kind of file
     *     does; it names the file and the text
     */
    public static KsmStats read() {
        List<Path> names = filesOfThisMachine;
        if (names == null) {
            names = list(ROOT.resolve(KSM));
            filesOfThisMachine = names;
        }
        KsmStats stats = new KsmStats(ROOT, PageSize.ofThisMachine(), names);
        if (stats.files.isEmpty()) {
            // Hidden since they were listed, or not there yet.
            filesOfThisMachine = null;
        }
        return stats;
    }

    /**
     * Reads the numbers of a tree that holds {@code sys/kernel/mm/ksm} and {@code proc/vmstat}: those of a host whose file
     * systems are mounted into a container, or a recording.
     *
     * <p>What is not a regular file counts as not there. So does a file this process has no right to read. An empty file says
     * nothing, and its number is absent. Of lines with the same name in {@code proc/vmstat} the first counts; other lines than
     * those wanted may hold anything.
     *
     * @param root the folder in whose place {@code /} is meant
     * @param pageSize the page size of that machine in bytes, a power of two
     * @return the numbers as they are now
     * @throws IllegalArgumentException if the page size is not a positive power of two
     * @throws UncheckedIOException if a file cannot be read, is longer than 1 MiB, has a last line without an end (so that its
     *     number may be cut off), or holds something else than this kind of file does; it names the file and the text. Files
     *     that ksm4j does not know may hold anything, and those that cannot be read are left out
     */
    public static KsmStats read(Path root, long pageSize) {
        return new KsmStats(root, PageSize.require(pageSize), list(root.resolve(KSM)));
    }

    private static @Nullable List<Path> list(Path folder) {
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder, Files::isRegularFile)) {
            List<Path> files = new ArrayList<>();
            entries.forEach(files::add);
            return files;
        } catch (IOException | DirectoryIteratorException e) {
            if (Descriptors.areUsedUp()) {
                throw new UncheckedIOException(
                        "cannot list " + folder + ": " + Descriptors.USED_UP, new IOException(e));
            }
            return null;
        }
    }

    private static @Nullable String read(Path file, String name, byte[] buffer) {
        boolean isNumber = NUMBERS.contains(name);
        boolean isChoice = name.equals(ADVISOR_MODE);
        try {
            KernelText text = KernelText.readIfShown(file, buffer);
            if (text == null) {
                return null;
            }
            String line = text.withoutLineEnd();
            if (isNumber || isChoice) {
                text.requireLineEnd();
            }
            if (isNumber) {
                KernelText.number(file, line);
            } else if (isChoice) {
                chosen(file, line);
            }
            return line;
        } catch (IOException e) {
            if (isNumber || isChoice) {
                throw KernelText.unreadable(file, e);
            }
            return null;
        }
    }

    /** Of a line such as {@code [none] scan-time} the one in brackets. */
    private static Optional<String> chosen(Path file, @Nullable String line) {
        if (line == null || line.isEmpty()) {
            return Optional.empty();
        }
        int open = line.indexOf('[');
        int close = line.indexOf(']', open + 1);
        if (open < 0 || close < 0) {
            throw KernelText.garbage(file, line, "a choice in brackets");
        }
        return Optional.of(line.substring(open + 1, close));
    }

    private OptionalLong count(String name) {
        return KernelText.count(root, files.get(name));
    }

    /**
     * Whether there is anything to read.
     *
     * @return false if no file of {@code sys/kernel/mm/ksm} can be read: the kernel has no KSM, or a container hides it. The numbers
     *     of its files are then all absent
     */
    public boolean isAvailable() {
        return available;
    }

    /** Whether this process may change the settings, at this moment. */
    boolean isWritable() {
        return Files.isWritable(root.resolve(KSM).resolve("run"));
    }

    /**
     * The size of a page of the machine.
     *
     * @return bytes; 0 if it could not be found, which makes every number of bytes absent
     */
    public long pageSize() {
        return pageSize;
    }

    /**
     * Every file of {@code sys/kernel/mm/ksm}, those unknown to ksm4j too.
     *
     * @return the text of each file by its name, without the line end; sorted by name, and not modifiable
     */
    public Map<String, String> files() {
        return files;
    }

    /**
     * {@code run}: what {@code ksmd} is told to do.
     *
     * @return 0: stand still; 1: scan and merge; 2: stand still with all pages taken apart
     */
    public OptionalLong run() {
        return count("run");
    }

    /**
     * {@code pages_to_scan}: what {@code ksmd} scans before it sleeps.
     *
     * @return pages
     */
    public OptionalLong pagesToScan() {
        return count("pages_to_scan");
    }

    /**
     * {@code sleep_millisecs}: how long {@code ksmd} sleeps after that.
     *
     * @return milliseconds
     */
    public OptionalLong sleepMillisecs() {
        return count("sleep_millisecs");
    }

    /**
     * {@code merge_across_nodes}: whether pages of different NUMA nodes merge. Since Linux 3.9, on NUMA kernels.
     *
     * @return 1 if they do, 0 if not
     */
    public OptionalLong mergeAcrossNodes() {
        return count("merge_across_nodes");
    }

    /**
     * {@code max_page_sharing}: how many mappings may share one page. Since Linux 4.13.
     *
     * @return mappings a page, at least 2
     */
    public OptionalLong maxPageSharing() {
        return count("max_page_sharing");
    }

    /**
     * {@code use_zero_pages}: whether empty pages become the kernel's zero page. Since Linux 4.11.
     *
     * @return 1 if they do, 0 if not
     */
    public OptionalLong useZeroPages() {
        return count("use_zero_pages");
    }

    /**
     * {@code smart_scan}: whether pages that did not merge before are passed over for some scans. Since Linux 6.7.
     *
     * @return 1 if they are, 0 if not
     */
    public OptionalLong smartScan() {
        return count("smart_scan");
    }

    /**
     * {@code max_kernel_pages}: how many merged pages there may be, on kernels that could not swap them: Linux 2.6.32.
     *
     * @return pages; 0 is no limit
     */
    public OptionalLong maxKernelPages() {
        return count("max_kernel_pages");
    }

    /**
     * {@code stable_node_chains_prune_millisecs}: how often {@code ksmd} looks for stale entries in the chains of pages with the
     * same content. Since Linux 4.13.
     *
     * @return milliseconds
     */
    public OptionalLong stableNodeChainsPruneMillisecs() {
        return count("stable_node_chains_prune_millisecs");
    }

    /**
     * {@code advisor_mode}: who chooses {@code pages_to_scan}. Since Linux 6.8.
     *
     * @return the choice the file has in brackets, {@code none} or {@code scan-time}
     */
    public Optional<String> advisorMode() {
        return chosen(root, files.get(ADVISOR_MODE));
    }

    /**
     * {@code advisor_max_cpu}: the most that {@code ksmd} may take of a CPU under the advisor. Since Linux 6.8.
     *
     * @return per cent
     */
    public OptionalLong advisorMaxCpu() {
        return count("advisor_max_cpu");
    }

    /**
     * {@code advisor_target_scan_time}: how long a full scan should take under the advisor. Since Linux 6.8.
     *
     * @return seconds
     */
    public OptionalLong advisorTargetScanTime() {
        return count("advisor_target_scan_time");
    }

    /**
     * {@code advisor_min_pages_to_scan}: the least the advisor chooses. Since Linux 6.8.
     *
     * @return pages
     */
    public OptionalLong advisorMinPagesToScan() {
        return count("advisor_min_pages_to_scan");
    }

    /**
     * {@code advisor_max_pages_to_scan}: the most the advisor chooses. Since Linux 6.8.
     *
     * @return pages
     */
    public OptionalLong advisorMaxPagesToScan() {
        return count("advisor_max_pages_to_scan");
    }

    /**
     * {@code pages_shared}: the physical pages that others share.
     *
     * @return pages
     */
    public OptionalLong pagesShared() {
        return count("pages_shared");
    }

    /**
     * {@code pages_sharing}: how many more places use those pages, which is how many pages are saved.
     *
     * @return pages
     */
    public OptionalLong pagesSharing() {
        return count("pages_sharing");
    }

    /**
     * {@code pages_unshared}: pages that no other equals, looked at again in each scan. With {@code smart_scan}, those that a scan
     * passes over are counted among {@link #pagesVolatile} until one looks at them again (seen on Linux 6.18).
     *
     * @return pages
     */
    public OptionalLong pagesUnshared() {
        return count("pages_unshared");
    }

    /**
     * {@code pages_volatile}: pages that change too fast to be looked for. With {@code smart_scan} also those of {@link
     * #pagesUnshared} that a scan passes over.
     *
     * @return pages
     */
    public OptionalLong pagesVolatile() {
        return count("pages_volatile");
    }

    /**
     * {@code pages_scanned}: the pages looked at since the machine started. Since Linux 6.6.
     *
     * @return pages
     */
    public OptionalLong pagesScanned() {
        return count("pages_scanned");
    }

    /**
     * {@code pages_skipped}: the pages passed over since the machine started, by {@code smart_scan}. Since Linux 6.7.
     *
     * @return pages
     */
    public OptionalLong pagesSkipped() {
        return count("pages_skipped");
    }

    /**
     * {@code full_scans}: how often all mergeable memory was scanned since the machine started.
     *
     * @return scans
     */
    public OptionalLong fullScans() {
        return count("full_scans");
    }

    /**
     * {@code stable_node_chains}: contents that need more than one physical page, for {@code max_page_sharing}'s sake. Since
     * Linux 4.13.
     *
     * @return chains
     */
    public OptionalLong stableNodeChains() {
        return count("stable_node_chains");
    }

    /**
     * {@code stable_node_dups}: the physical pages of those contents. Since Linux 4.13.
     *
     * @return pages
     */
    public OptionalLong stableNodeDups() {
        return count("stable_node_dups");
    }

    /**
     * {@code ksm_zero_pages}: empty pages that have become the kernel's zero page; {@code pages_sharing} leaves them out. Since
     * Linux 6.6.
     *
     * @return pages
     */
    public OptionalLong ksmZeroPages() {
        return count("ksm_zero_pages");
    }

    /**
     * {@code general_profit}: the kernel's own {@link #profitBytes}. Since Linux 6.4.
     *
     * @return bytes; less than 0 if merging costs more memory than it saves
     */
    public OptionalLong generalProfit() {
        return KernelText.number(root, files.get("general_profit"));
    }

    /**
     * {@code cow_ksm} of {@code /proc/vmstat}: merged pages that were written to, and copied for it, since the machine started.
     * Since Linux 5.19.
     *
     * @return pages
     */
    public OptionalLong cowKsm() {
        return cowKsm;
    }

    /**
     * {@code ksm_swpin_copy} of {@code /proc/vmstat}: merged pages that had to be copied when they came back from swap, since
     * the machine started. Since Linux 5.18.
     *
     * @return pages
     */
    public OptionalLong ksmSwpinCopy() {
        return ksmSwpinCopy;
    }

    /**
     * What merging saves: ({@code pages_sharing} + {@code ksm_zero_pages}) &times; page size. The kernel document, <i>Monitoring
     * KSM profit</i>, calls the sum ksm_saved_pages. Kernels that do not count zero pages leave them out.
     *
     * @return bytes, before what the kernel spends on its records
     */
    public OptionalLong savedBytes() {
        OptionalLong zeroPages = files.containsKey("ksm_zero_pages") ? ksmZeroPages() : OptionalLong.of(0);
        return bytes(sum(pagesSharing(), zeroPages), pageSize);
    }

    /**
     * What the merged pages occupy: {@code pages_shared} &times; page size. The kernel document, <i>KSM daemon sysfs
     * interface</i>, defines {@code pages_shared} as the shared pages that are in use.
     *
     * @return bytes
     */
    public OptionalLong usedBytes() {
        return bytes(pagesShared(), pageSize);
    }

    /**
     * How many pages {@code ksmd} keeps a record of: {@code pages_shared} + {@code pages_sharing} + {@code pages_unshared} +
     * {@code pages_volatile}, which the kernel document, <i>Monitoring KSM profit</i>, calls all_rmap_items.
     *
     * @return pages
     */
    public OptionalLong rmapItems() {
        return sum(pagesShared(), pagesSharing(), pagesUnshared(), pagesVolatile());
    }

    /**
     * What merging saves less what it costs: {@link #savedBytes} &minus; 64 &times; {@link #rmapItems}, by the kernel document,
     * <i>Monitoring KSM profit</i>. Other than {@link #generalProfit} it is there on old kernels too.
     *
     * @return bytes; less than 0 if merging costs more memory than it saves
     */
    public OptionalLong profitBytes() {
        return Derived.profit(savedBytes(), rmapItems());
    }

    /**
     * How well pages share: {@code pages_sharing} / {@code pages_shared}. The kernel document, <i>KSM daemon sysfs
     * interface</i>: a high ratio is good sharing; {@code max_page_sharing} is the most it can be.
     *
     * @return the ratio; absent if nothing is merged
     */
    public OptionalDouble sharingRatio() {
        return ratio(pagesSharing(), pagesShared());
    }

    /**
     * How much {@code ksmd} looks in vain: {@code pages_unshared} / {@code pages_sharing}. The kernel document, <i>KSM daemon
     * sysfs interface</i>: a high ratio is wasted effort.
     * With {@code smart_scan} it is too low in most scans: see {@link #pagesUnshared}.
     *
     * @return the ratio, infinite if pages are scanned and none merge; absent if both are 0
     */
    public OptionalDouble wastedEffort() {
        return ratio(pagesUnshared(), pagesSharing());
    }

    /**
     * The share of pages that change too fast to merge: {@code pages_volatile} / {@link #rmapItems}. The kernel document,
     * <i>KSM daemon sysfs interface</i>, tells to look at how large {@code pages_volatile} is beside the others.
     * With {@code smart_scan} it is too high in most scans: see {@link #pagesVolatile}.
     *
     * @return 0 to 1; absent if {@code ksmd} knows no page
     */
    public OptionalDouble volatileShare() {
        return ratio(pagesVolatile(), rmapItems());
    }

    /**
     * What {@code ksmd} sleeps in a full scan that looks at every page, with these settings: {@link #rmapItems} / {@code
     * pages_to_scan}, rounded up, &times; {@code sleep_millisecs}. It follows from what the kernel document, <i>KSM daemon sysfs
     * interface</i>, says of the two settings, whether {@code ksmd} runs or not. Scanning itself comes on top, and so do pages
     * that it has not met yet. Pages that {@code smart_scan} passes over do not count against {@code pages_to_scan} ({@code
     * mm/ksm.c}), so that with it a scan may take a fraction of this time, once most pages are old; and the advisor changes
     * {@code pages_to_scan} after each scan. {@link KsmActivity#fullScanTime} is what was seen.
     *
     * @return the time; absent if {@code pages_to_scan} is 0, when it never ends, or if it does not fit
     */
    public Optional<Duration> fullScanTime() {
        OptionalLong items = rmapItems();
        OptionalLong step = pagesToScan();
        OptionalLong sleep = sleepMillisecs();
        if (items.isEmpty() || step.orElse(0) == 0 || sleep.isEmpty()) {
            return Optional.empty();
        }
        long steps = items.getAsLong() / step.getAsLong() + (items.getAsLong() % step.getAsLong() == 0 ? 0 : 1);
        OptionalLong millis = bytes(OptionalLong.of(steps), sleep.getAsLong());
        return steps == 0 || sleep.getAsLong() == 0
                ? Optional.of(Duration.ZERO)
                : millis.isEmpty() ? Optional.empty() : Optional.of(Duration.ofMillis(millis.getAsLong()));
    }

    /**
     * What happened between two readings.
     *
     * @param earlier a reading of the same tree, made before this one
     * @return the differences of the counters
     * @throws IllegalArgumentException if the other reading is the later one, or that of another tree
     */
    public KsmActivity since(KsmStats earlier) {
        if (!root.toAbsolutePath()
                .normalize()
                .equals(earlier.root.toAbsolutePath().normalize())) {
            throw new IllegalArgumentException("readings of " + earlier.root + " and " + root + " have no difference");
        }
        if (earlier.nanoTime - nanoTime > 0) {
            throw new IllegalArgumentException("the reading given as the earlier one is the later one");
        }
        return new KsmActivity(
                Duration.ofNanos(nanoTime - earlier.nanoTime),
                difference(pagesScanned(), earlier.pagesScanned()),
                difference(pagesSkipped(), earlier.pagesSkipped()),
                difference(fullScans(), earlier.fullScans()),
                difference(cowKsm, earlier.cowKsm),
                rmapItems());
    }

    @Override
    public String toString() {
        return "KsmStats" + files;
    }
}
