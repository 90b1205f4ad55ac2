// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
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
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * KSM statistics of the whole machine at one time: the files in {@code /sys/kernel/mm/ksm}, the counters in
 * {@code /proc/vmstat}, and values derived from them. Immutable, and therefore safe for use by multiple threads.
 *
 * <pre>{@code
 * KsmStats before = KsmStats.read();
 * Thread.sleep(10_000);
 * KsmStats after = KsmStats.read();
 * System.out.println(after.savedBytes() + " bytes saved");
 * System.out.println(after.since(before).pagesPerSecond() + " pages scanned per second");
 * }</pre>
 *
 * <p>Kernels differ in what they count. Values that this kernel does not provide are absent, never 0, and so are values
 * derived from them. A value above {@link Long#MAX_VALUE} is a kernel counter that has wrapped below zero; it is absent
 * too, and its text is in {@link #files}. Page counts use the page size of the machine, which is not always 4 KiB.
 *
 * <p>The files are read one after the other while {@code ksmd} may be running, so the values of one reading may be
 * inconsistent by what it did within less than a millisecond.
 *
 * <p>The formulas are those of the kernel document {@code Documentation/admin-guide/mm/ksm.rst}, as of Linux 6.18,
 * where a method refers to it. They count 64 bytes for each page that {@code ksmd} keeps a record of, as 64-bit kernels
 * do.
 *
 * @since 0.1.0
 */
public final class KsmStats {

    private static final Path ROOT = Path.of("/");
    private static final String KSM = "sys/kernel/mm/ksm";
    private static final String VMSTAT = "proc/vmstat";
    private static final String ADVISOR_MODE = "advisor_mode";

    /** The files that contain a single number. The lines of {@code /proc/vmstat} have names that no file has. */
    private static final Set<String> NUMBERS = numbers();

    /**
     * This machine's files, once they have been listed. They do not change while the machine runs, and listing them
     * takes time.
     */
    private static volatile @Nullable List<NamedFile> filesOfThisMachine;

    /** A file, and its name, which a {@code Path} would create anew for each reading. */
    private record NamedFile(Path path, String name) {}

    private final Path root;
    private final long pageSize;
    private final long nanoTime;
    private final boolean available;
    private final Map<String, String> files;
    private final OptionalLong cowKsm;
    private final OptionalLong ksmSwpinCopy;

    private KsmStats(Path root, long pageSize, @Nullable List<NamedFile> listed) {
        this.root = root;
        this.pageSize = pageSize;
        byte[] buffer = new byte[KernelText.BUFFER];
        this.nanoTime = System.nanoTime();
        Map<String, String> texts = new TreeMap<>();
        for (NamedFile file : listed == null ? List.<NamedFile>of() : listed) {
            String text = read(file.path, file.name, buffer);
            if (text != null) {
                texts.put(file.name, text);
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
     * Reads the statistics of this machine, which opens and reads about 25 small files.
     *
     * <p>Missing files never cause an exception: on other operating systems, on kernels without KSM, and in containers
     * that hide the files, all values are absent. A file that this process has no permission to read counts as missing.
     *
     * @return the current statistics
     * @throws UncheckedIOException if a file cannot be read for another reason, or is malformed; the message names the
     *     file and, if it is malformed, its text
     */
    public static KsmStats read() {
        List<NamedFile> listed = filesOfThisMachine;
        if (listed == null) {
            listed = list(ROOT.resolve(KSM));
            filesOfThisMachine = listed;
        }
        KsmStats stats = new KsmStats(ROOT, PageSize.ofThisMachine(), listed);
        if (stats.files.isEmpty()) {
            // They were hidden after they were listed, or do not exist yet.
            filesOfThisMachine = null;
        }
        return stats;
    }

    /**
     * Reads the statistics from a directory tree that contains {@code sys/kernel/mm/ksm} and {@code proc/vmstat}, such
     * as the file systems of a host mounted into a container, or a recording.
     *
     * <p>Anything but a regular file counts as missing, and so does a file that this process has no permission to read.
     * The value of an empty file is absent. If several lines of {@code proc/vmstat} have the same name, the first one
     * counts; lines that ksm4j does not use may contain anything.
     *
     * @param root the directory to use in place of {@code /}
     * @param pageSize the page size of that machine in bytes, a power of two
     * @return the current statistics
     * @throws IllegalArgumentException if the page size is not a positive power of two
     * @throws UncheckedIOException if a file cannot be read, is longer than 1 MiB, is malformed, or has a last line
     *     without a line end, because its number may be cut off; the message names the file and, if it is malformed,
     *     its text. Files unknown to ksm4j may contain anything, and are omitted if they cannot be read
     */
    public static KsmStats read(Path root, long pageSize) {
        return new KsmStats(root, PageSize.require(pageSize), list(root.resolve(KSM)));
    }

    private static Set<String> numbers() {
        Set<String> names = new HashSet<>();
        for (KsmCounter counter : KsmCounter.values()) {
            counter.file().ifPresent(names::add);
        }
        return names;
    }

    private static @Nullable List<NamedFile> list(Path directory) {
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory, Files::isRegularFile)) {
            List<NamedFile> files = new ArrayList<>();
            entries.forEach(
                    file -> files.add(new NamedFile(file, file.getFileName().toString())));
            return files;
        } catch (IOException | DirectoryIteratorException e) {
            if (Descriptors.areUsedUp()) {
                throw new UncheckedIOException(
                        "cannot list " + directory + ": " + Descriptors.USED_UP, new IOException(e));
            }
            return null;
        }
    }

    private static @Nullable String read(Path file, String name, byte[] buffer) {
        boolean isNumber = NUMBERS.contains(name);
        boolean isChoice = name.equals(ADVISOR_MODE);
        try {
            // The kernel returns the whole text by one read (Documentation/filesystems/sysfs.rst).
            KernelText text = isNumber || isChoice
                    ? KernelText.readLineIfShown(file, buffer)
                    : KernelText.readIfShown(file, buffer);
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

    /** Returns the choice in brackets of a line such as {@code [none] scan-time}. */
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

    OptionalLong count(KsmCounter counter) {
        return KernelText.count(root, files.get(counter.file().orElseThrow()));
    }

    /**
     * Returns whether the files in {@code sys/kernel/mm/ksm} can be read.
     *
     * @return false if none of them can be read: the kernel has no KSM, or a container hides it. All values from these
     *     files are then absent
     */
    public boolean isAvailable() {
        return available;
    }

    /** Whether this process has permission to change the settings at this moment. */
    boolean isWritable() {
        return Files.isWritable(root.resolve(KSM).resolve("run"));
    }

    /**
     * {@return the page size of the machine in bytes; 0 if it is unknown, in which case every value in bytes is absent}
     */
    public long pageSize() {
        return pageSize;
    }

    /**
     * Returns all files in {@code sys/kernel/mm/ksm}, including those unknown to ksm4j.
     *
     * @return an unmodifiable map, sorted by name, from the name of each file to its text without the line end
     */
    public Map<String, String> files() {
        return files;
    }

    /**
     * Returns {@code run}: the state of {@code ksmd}.
     *
     * @return 0: stopped; 1: scanning and merging; 2: stopped, with all pages unmerged
     */
    public OptionalLong run() {
        return count(KsmCounter.RUN);
    }

    /**
     * Returns {@code pages_to_scan}: the number of pages {@code ksmd} scans before it sleeps.
     *
     * @return pages
     */
    public OptionalLong pagesToScan() {
        return count(KsmCounter.PAGES_TO_SCAN);
    }

    /**
     * Returns {@code sleep_millisecs}: how long {@code ksmd} sleeps after scanning {@code pages_to_scan} pages.
     *
     * @return milliseconds
     */
    public OptionalLong sleepMillisecs() {
        return count(KsmCounter.SLEEP_MILLISECS);
    }

    /**
     * Returns {@code merge_across_nodes}: whether pages on different NUMA nodes are merged. Since Linux 3.9, on NUMA
     * kernels.
     *
     * @return 1 if they are, 0 if not
     */
    public OptionalLong mergeAcrossNodes() {
        return count(KsmCounter.MERGE_ACROSS_NODES);
    }

    /**
     * Returns {@code max_page_sharing}: the maximum number of mappings that share one page. Since Linux 4.13.
     *
     * @return mappings per page, at least 2
     */
    public OptionalLong maxPageSharing() {
        return count(KsmCounter.MAX_PAGE_SHARING);
    }

    /**
     * Returns {@code use_zero_pages}: whether zero-filled pages are replaced by the kernel's zero page. Since Linux
     * 4.11.
     *
     * @return 1 if they are, 0 if not
     */
    public OptionalLong useZeroPages() {
        return count(KsmCounter.USE_ZERO_PAGES);
    }

    /**
     * Returns {@code smart_scan}: whether pages that did not merge before are skipped for some scans. Since Linux 6.7.
     *
     * @return 1 if they are, 0 if not
     */
    public OptionalLong smartScan() {
        return count(KsmCounter.SMART_SCAN);
    }

    /**
     * Returns {@code max_kernel_pages}: the maximum number of merged pages, on the kernel that could not swap them:
     * Linux 2.6.32.
     *
     * @return pages; 0 means no limit
     */
    public OptionalLong maxKernelPages() {
        return count(KsmCounter.MAX_KERNEL_PAGES);
    }

    /**
     * Returns {@code stable_node_chains_prune_millisecs}: how often {@code ksmd} removes stale entries from the chains
     * of pages with the same content. Since Linux 4.13.
     *
     * @return milliseconds
     */
    public OptionalLong stableNodeChainsPruneMillisecs() {
        return count(KsmCounter.STABLE_NODE_CHAINS_PRUNE_MILLISECS);
    }

    /**
     * Returns {@code advisor_mode}: what chooses {@code pages_to_scan}. Since Linux 6.8.
     *
     * @return the choice in brackets in the file: {@code none} or {@code scan-time}
     */
    public Optional<String> advisorMode() {
        return chosen(root, files.get(ADVISOR_MODE));
    }

    /**
     * Returns {@code advisor_max_cpu}: the maximum share of a CPU that {@code ksmd} may use under the advisor. Since
     * Linux 6.8.
     *
     * @return percent
     */
    public OptionalLong advisorMaxCpu() {
        return count(KsmCounter.ADVISOR_MAX_CPU);
    }

    /**
     * Returns {@code advisor_target_scan_time}: how long the advisor aims for a full scan to take. Since Linux 6.8.
     *
     * @return seconds
     */
    public OptionalLong advisorTargetScanTime() {
        return count(KsmCounter.ADVISOR_TARGET_SCAN_TIME);
    }

    /**
     * Returns {@code advisor_min_pages_to_scan}: the minimum the advisor chooses for {@code pages_to_scan}. Since Linux
     * 6.8.
     *
     * @return pages
     */
    public OptionalLong advisorMinPagesToScan() {
        return count(KsmCounter.ADVISOR_MIN_PAGES_TO_SCAN);
    }

    /**
     * Returns {@code advisor_max_pages_to_scan}: the maximum the advisor chooses for {@code pages_to_scan}. Since Linux
     * 6.8.
     *
     * @return pages
     */
    public OptionalLong advisorMaxPagesToScan() {
        return count(KsmCounter.ADVISOR_MAX_PAGES_TO_SCAN);
    }

    /**
     * Returns {@code pages_shared}: the number of page frames that are shared by merged pages.
     *
     * @return pages
     */
    public OptionalLong pagesShared() {
        return count(KsmCounter.PAGES_SHARED);
    }

    /**
     * Returns {@code pages_sharing}: how many more pages share those page frames, which is the number of pages saved.
     *
     * @return pages
     */
    public OptionalLong pagesSharing() {
        return count(KsmCounter.PAGES_SHARING);
    }

    /**
     * Returns {@code pages_unshared}: the number of pages that are unique and are checked again in each scan. With
     * {@code smart_scan}, pages skipped by a scan are counted in {@link #pagesVolatile} until a scan checks them again
     * (observed on Linux 6.18).
     *
     * @return pages
     */
    public OptionalLong pagesUnshared() {
        return count(KsmCounter.PAGES_UNSHARED);
    }

    /**
     * Returns {@code pages_volatile}: the number of pages that change too fast to be merged. With {@code smart_scan},
     * this includes pages of {@link #pagesUnshared} that a scan skips.
     *
     * @return pages
     */
    public OptionalLong pagesVolatile() {
        return count(KsmCounter.PAGES_VOLATILE);
    }

    /**
     * Returns {@code pages_scanned}: the number of pages scanned since the machine started. Since Linux 6.6.
     *
     * @return pages
     */
    public OptionalLong pagesScanned() {
        return count(KsmCounter.PAGES_SCANNED);
    }

    /**
     * Returns {@code pages_skipped}: the number of pages skipped by {@code smart_scan} since the machine started. Since
     * Linux 6.7.
     *
     * @return pages
     */
    public OptionalLong pagesSkipped() {
        return count(KsmCounter.PAGES_SKIPPED);
    }

    /**
     * Returns {@code full_scans}: how often all mergeable memory was scanned since the machine started.
     *
     * @return scans
     */
    public OptionalLong fullScans() {
        return count(KsmCounter.FULL_SCANS);
    }

    /**
     * Returns {@code stable_node_chains}: the number of contents that are stored in more than one page frame because of
     * {@code max_page_sharing}. Since Linux 4.13.
     *
     * @return chains
     */
    public OptionalLong stableNodeChains() {
        return count(KsmCounter.STABLE_NODE_CHAINS);
    }

    /**
     * Returns {@code stable_node_dups}: the number of page frames that store those contents. Since Linux 4.13.
     *
     * @return pages
     */
    public OptionalLong stableNodeDups() {
        return count(KsmCounter.STABLE_NODE_DUPS);
    }

    /**
     * Returns {@code ksm_zero_pages}: the number of zero-filled pages that were replaced by the kernel's zero page.
     * They are not included in {@code pages_sharing}. Since Linux 6.6.
     *
     * @return pages
     */
    public OptionalLong ksmZeroPages() {
        return count(KsmCounter.KSM_ZERO_PAGES);
    }

    /**
     * Returns {@code general_profit}: {@link #profitBytes} as computed by the kernel. Since Linux 6.4.
     *
     * @return bytes; negative if merging costs more memory than it saves
     */
    public OptionalLong generalProfit() {
        return KernelText.number(root, files.get("general_profit"));
    }

    /**
     * Returns {@code cow_ksm} from {@code /proc/vmstat}: the number of merged pages that were written to, and therefore
     * copied, since the machine started. Since Linux 5.19.
     *
     * @return pages
     */
    public OptionalLong cowKsm() {
        return cowKsm;
    }

    /**
     * Returns {@code ksm_swpin_copy} from {@code /proc/vmstat}: the number of merged pages that had to be copied when
     * they were swapped in, since the machine started. Since Linux 5.18.
     *
     * @return pages
     */
    public OptionalLong ksmSwpinCopy() {
        return ksmSwpinCopy;
    }

    /**
     * Returns what merging saves: ({@code pages_sharing} + {@code ksm_zero_pages}) &times; page size. The kernel
     * document calls the sum ksm_saved_pages (section <i>Monitoring KSM profit</i>). On kernels that do not count zero
     * pages, those are not included.
     *
     * @return bytes, not reduced by what the kernel uses for its records
     */
    public OptionalLong savedBytes() {
        OptionalLong zeroPages = files.containsKey("ksm_zero_pages") ? ksmZeroPages() : OptionalLong.of(0);
        return bytes(sum(pagesSharing(), zeroPages), pageSize);
    }

    /**
     * Returns what the merged pages occupy: {@code pages_shared} &times; page size. The kernel document defines
     * {@code pages_shared} as the shared pages that are in use (section <i>KSM daemon sysfs interface</i>).
     *
     * @return bytes
     */
    public OptionalLong usedBytes() {
        return bytes(pagesShared(), pageSize);
    }

    /**
     * Returns the number of pages that {@code ksmd} keeps a record of: {@code pages_shared} + {@code pages_sharing} +
     * {@code pages_unshared} + {@code pages_volatile}. The kernel document calls it all_rmap_items (section
     * <i>Monitoring KSM profit</i>).
     *
     * @return pages
     */
    public OptionalLong rmapItems() {
        return sum(pagesShared(), pagesSharing(), pagesUnshared(), pagesVolatile());
    }

    /**
     * Returns what merging saves minus what it costs: {@link #savedBytes} &minus; 64 &times; {@link #rmapItems},
     * according to the kernel document (section <i>Monitoring KSM profit</i>). Unlike {@link #generalProfit}, it is
     * available on old kernels too.
     *
     * @return bytes; negative if merging costs more memory than it saves
     */
    public OptionalLong profitBytes() {
        return Derived.profit(savedBytes(), rmapItems());
    }

    /**
     * Returns how well pages are shared: {@code pages_sharing} / {@code pages_shared}. According to the kernel
     * document, a high ratio indicates good sharing (section <i>KSM daemon sysfs interface</i>). Its maximum is
     * {@code max_page_sharing}.
     *
     * @return the ratio; absent if nothing is merged
     */
    public OptionalDouble sharingRatio() {
        return ratio(pagesSharing(), pagesShared());
    }

    /**
     * Returns how much {@code ksmd} scans in vain: {@code pages_unshared} / {@code pages_sharing}. According to the
     * kernel document, a high ratio indicates wasted effort (section <i>KSM daemon sysfs interface</i>). With
     * {@code smart_scan}, the value is too low in most scans; see {@link #pagesUnshared}.
     *
     * @return the ratio, infinite if pages are scanned and none merge; absent if both counters are 0
     */
    public OptionalDouble wastedEffort() {
        return ratio(pagesUnshared(), pagesSharing());
    }

    /**
     * Returns the share of pages that change too fast to merge: {@code pages_volatile} / {@link #rmapItems}. The kernel
     * document recommends comparing {@code pages_volatile} with the other counters (section <i>KSM daemon sysfs
     * interface</i>). With {@code smart_scan}, the value is too high in most scans; see {@link #pagesVolatile}.
     *
     * @return 0 to 1; absent if {@code ksmd} keeps no records
     */
    public OptionalDouble volatileShare() {
        return ratio(pagesVolatile(), rmapItems());
    }

    /**
     * Returns how long {@code ksmd} sleeps during a full scan with the current settings: {@link #rmapItems} /
     * {@code pages_to_scan}, rounded up, &times; {@code sleep_millisecs}. {@link KsmActivity#fullScanTime} returns the
     * time observed.
     *
     * <p>The formula follows from the description of the two settings in the kernel document (section <i>KSM daemon
     * sysfs interface</i>), and applies whether {@code ksmd} is running or not. The actual scan takes longer by the
     * time spent on scanning, and by pages that {@code ksmd} has not encountered yet. With {@code smart_scan} it may
     * take a fraction of this time once most pages are old, because skipped pages do not count towards
     * {@code pages_to_scan} ({@code mm/ksm.c}). The advisor changes {@code pages_to_scan} after each scan.
     *
     * @return the time; absent if {@code pages_to_scan} is 0, which means that a scan never ends, or if the time does
     *     not fit
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
     * Returns what happened between two readings.
     *
     * @param earlier a reading of the same directory tree, made before this one
     * @return the differences of the counters
     * @throws IllegalArgumentException if the other reading is later than this one, or of another directory tree
     */
    public KsmActivity since(KsmStats earlier) {
        if (!root.toAbsolutePath()
                .normalize()
                .equals(earlier.root.toAbsolutePath().normalize())) {
            throw new IllegalArgumentException("readings of " + earlier.root + " and " + root + " cannot be compared");
        }
        if (earlier.nanoTime - nanoTime > 0) {
            throw new IllegalArgumentException("the earlier reading was made after this one");
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
