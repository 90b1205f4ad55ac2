// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import io.ksm4j.internal.ByteCount;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * A reason why pages do not merge or merging does not pay off, with the measured value. See
 * {@link io.ksm4j.Ksm#advice()} and {@link io.ksm4j.KsmSupport#obstacles}.
 *
 * <p>The rules are those of the kernel document {@code Documentation/admin-guide/mm/ksm.rst}, as of Linux 6.18. Where
 * the document calls a value high without giving a threshold, the limit is ksm4j's own, and {@link Kind} says so.
 * Profit and ratios are not judged until {@code ksmd} has scanned 16 MiB; with fewer pages they are not meaningful.
 *
 * @param kind what was found
 * @param scope what the finding applies to
 * @param number the measured value; {@link Kind} says what it counts
 * @param limit the value that the number is compared with; 0 unless {@link Kind} says otherwise
 * @param reason what was found, for people
 * @param remedy what to do about it, for people; empty if there is no remedy
 * @since 0.1.0
 */
public record Finding(Kind kind, Scope scope, double number, double limit, String reason, String remedy) {

    /**
     * What a finding applies to.
     *
     * @since 0.1.0
     */
    public enum Scope {
        /** All memory that is marked on this machine, by any process. */
        MACHINE,
        /** All marked memory of one process. */
        PROCESS,
        /** The regions marked by ksm4j. */
        REGIONS
    }

    /**
     * The kinds of findings.
     *
     * @since 0.1.0
     */
    public enum Kind {
        /** The operating system has no Kernel Samepage Merging. The number is 0. */
        NOT_LINUX,
        /** The kernel was built without {@code CONFIG_KSM}. The number is the errno of {@code madvise}. */
        KERNEL_WITHOUT_KSM,
        /** A seccomp filter or another policy forbids the call. The number is the errno of {@code madvise}. */
        ADVICE_FORBIDDEN,
        /**
         * The regions are those of {@link io.ksm4j.Ksm#fallback()}, whose marks are recorded but have no effect. The
         * number is 0.
         */
        FALLBACK,
        /**
         * {@code /sys/kernel/mm/ksm} cannot be read, so whether {@code ksmd} is running is unknown: the kernel has no
         * KSM, or a container hides it. The number is the number of lines in the process's {@code ksm_stat}; if it is
         * greater than 0, the kernel has KSM.
         */
        HIDDEN,
        /** {@code ksmd} is stopped. The number is the setting {@code run}, the limit 1. */
        KSMD_STOPPED,
        /**
         * Another finding recommends changing a setting, but this process has no permission to do so. The number is the
         * number of such findings.
         */
        NO_PERMISSION,
        /**
         * {@code ksmd} scans many pages for each page it merges.
         *
         * <p>For the machine, the number is {@code pages_unshared} per page in {@code pages_sharing}; with
         * {@code smart_scan}, {@code pages_volatile} is added to {@code pages_unshared}. For a process, it is
         * {@code ksm_rmap_items} per page in {@code ksm_merging_pages}. Pages replaced by the kernel's zero page count
         * as merged. The number is infinite if no page has merged.
         *
         * <p>The limit is the page size divided by the 64 bytes of a record, which for pages of 4 KiB is the document's
         * 64. Above it, the records alone cost more than merging saves.
         */
        WASTED_EFFORT,
        /**
         * Marked pages change too fast to merge; or, with {@code smart_scan}, have not merged and are being skipped.
         * The number is {@code pages_volatile} as a share of all scanned pages. The limit, one half, is ksm4j's own.
         */
        VOLATILE_PAGES,
        /** Merging costs more memory than it saves. The number is the profit in bytes, the limit 0. */
        NEGATIVE_PROFIT,
        /**
         * Data is gone before it can merge. The number is the time of two full scans in seconds, as
         * {@link KsmStats#fullScanTime} estimates it, because a page is recorded in one scan and merged in the next. It
         * is infinite if {@code pages_to_scan} is 0. The limit is how long data stays in memory, in seconds.
         */
        SLOW_SCAN,
        /**
         * Some pages have more copies than may share one page. The number is {@code stable_node_chains}, the number of
         * contents that are therefore stored more than once; the limit is 0.
         */
        MAX_PAGE_SHARING,
        /**
         * Marked memory is in huge pages, which do not merge until they are split. The number is bytes, the limit 0.
         */
        HUGE_PAGES
    }

    /** {@return reason and remedy as one text} */
    public String explanation() {
        return remedy.isEmpty() ? reason : reason + ": " + remedy;
    }

    /** The size of the record of one page on 64-bit kernels, according to the document. */
    private static final double RECORD_BYTES = 64;

    private static final double MOSTLY_VOLATILE = 0.5;

    /** Until {@code ksmd} has scanned this much, the statistics are not meaningful. */
    private static final long ENOUGH_BYTES = 16 << 20;

    /**
     * Evaluates all rules on the given statistics.
     *
     * <p>One check is made at the moment of the call: if a finding recommends changing a setting, whether this process
     * has permission to change the machine's settings.
     *
     * @param machine the statistics of the machine
     * @param process the statistics of a process
     * @param regions the total statistics of regions
     * @param lifeOfData how long data stays in memory unchanged; empty to not judge the scan rate
     * @return the findings, most serious first; empty if there is no problem
     */
    public static List<Finding> of(
            KsmStats machine, ProcessKsmStats process, RegionStats regions, Optional<Duration> lifeOfData) {
        List<Finding> findings = new ArrayList<>();
        if (!machine.isAvailable()) {
            findings.add(hidden(process));
        } else {
            int settingFindings = findings.size();
            stopped(machine).ifPresent(findings::add);
            lifeOfData.flatMap(life -> slowScan(machine, life)).ifPresent(findings::add);
            maxPageSharing(machine).ifPresent(findings::add);
            settingFindings = findings.size() - settingFindings;
            if (settingFindings > 0 && !machine.isWritable()) {
                findings.add(new Finding(
                        Kind.NO_PERMISSION,
                        Scope.PROCESS,
                        settingFindings,
                        0,
                        "this process has no permission to change ksmd's settings, as "
                                + (settingFindings == 1
                                        ? "1 finding recommends"
                                        : settingFindings + " findings recommend"),
                        "run as root, on the host if this is a container"));
            }
        }
        boolean judgesMachine = isEnough(machine.rmapItems(), machine.pageSize());
        boolean judgesProcess = isEnough(process.rmapItems(), machine.pageSize());
        if (judgesMachine) {
            negativeProfit(Scope.MACHINE, machine.profitBytes()).ifPresent(findings::add);
        }
        if (judgesProcess) {
            negativeProfit(Scope.PROCESS, process.profitBytes()).ifPresent(findings::add);
        }
        if (judgesMachine) {
            wastedEffort(Scope.MACHINE, scannedInVain(machine), machine.savedBytes(), machine.pageSize())
                    .ifPresent(findings::add);
        }
        if (judgesProcess) {
            wastedEffort(Scope.PROCESS, process.rmapItems(), process.mergedBytes(), machine.pageSize())
                    .ifPresent(findings::add);
        }
        if (judgesMachine) {
            volatilePages(machine).ifPresent(findings::add);
        }
        hugePages(regions).ifPresent(findings::add);
        return List.copyOf(findings);
    }

    private static boolean isEnough(OptionalLong pages, long pageSize) {
        return Derived.bytes(pages, pageSize).orElse(0) >= ENOUGH_BYTES;
    }

    private static Finding hidden(ProcessKsmStats process) {
        int lines = process.entries().size();
        return new Finding(
                Kind.HIDDEN,
                Scope.MACHINE,
                lines,
                0,
                lines > 0
                        ? "/sys/kernel/mm/ksm is hidden, although the kernel has KSM, as the " + lines
                                + " lines of ksm_stat show"
                        : "/sys/kernel/mm/ksm does not exist, because the kernel was built without CONFIG_KSM or a"
                                + " container hides it",
                lines > 0
                        ? "mount the host's /sys read-only into the container"
                        : "use a kernel with CONFIG_KSM=y; in a container, mount the host's /sys read-only");
    }

    private static Optional<Finding> stopped(KsmStats machine) {
        OptionalLong run = machine.run();
        if (run.isEmpty() || run.getAsLong() == 1) {
            return Optional.empty();
        }
        return Optional.of(new Finding(
                Kind.KSMD_STOPPED,
                Scope.MACHINE,
                run.getAsLong(),
                1,
                "ksmd is stopped (run is " + run.getAsLong() + "), so nothing merges",
                "write 1 to /sys/kernel/mm/ksm/run"));
    }

    private static Optional<Finding> slowScan(KsmStats machine, Duration life) {
        Optional<Duration> scan = machine.fullScanTime();
        boolean never = machine.pagesToScan().orElse(1) == 0;
        if (scan.isEmpty() && !never) {
            return Optional.empty();
        }
        if (never) {
            return Optional.of(new Finding(
                    Kind.SLOW_SCAN,
                    Scope.MACHINE,
                    Double.POSITIVE_INFINITY,
                    seconds(life),
                    "ksmd scans no pages because pages_to_scan is 0",
                    "raise it"));
        }
        double seconds = 2 * seconds(scan.orElseThrow());
        return finding(
                seconds > seconds(life),
                Kind.SLOW_SCAN,
                Scope.MACHINE,
                seconds,
                seconds(life),
                "merging takes two full scans, which is %.1f s with the current settings"
                        + (skipsPages(machine) ? " (or less, because smart_scan skips old pages)" : "")
                        + ", but data lives only %.1f s",
                "raise pages_to_scan, lower sleep_millisecs, or mark less memory");
    }

    private static double seconds(Duration duration) {
        return duration.getSeconds() + duration.getNano() / 1e9;
    }

    private static Optional<Finding> maxPageSharing(KsmStats machine) {
        OptionalLong chains = machine.stableNodeChains();
        return chains.orElse(0) == 0
                ? Optional.empty()
                : finding(
                        true,
                        Kind.MAX_PAGE_SHARING,
                        Scope.MACHINE,
                        (double) chains.getAsLong(),
                        0,
                        "%.0f contents have more copies than the "
                                + machine.maxPageSharing().orElse(0)
                                + " that may share one page, and are stored more than once",
                        "raise max_page_sharing if that matters; this requires setting run to 2 first, which unmerges"
                                + " all pages");
    }

    private static Optional<Finding> negativeProfit(Scope scope, OptionalLong profit) {
        return profit.isEmpty()
                ? Optional.empty()
                : finding(
                        profit.getAsLong() < 0,
                        Kind.NEGATIVE_PROFIT,
                        scope,
                        (double) profit.getAsLong(),
                        0,
                        "merging costs " + ByteCount.text(-profit.getAsLong()) + " more than it saves",
                        "unmark memory that has no copies");
    }

    /**
     * Pages skipped by {@code smart_scan} are counted as volatile, so only the sum of both counters covers all that did
     * not merge.
     */
    private static OptionalLong scannedInVain(KsmStats machine) {
        return skipsPages(machine)
                ? Derived.sum(machine.pagesUnshared(), machine.pagesVolatile())
                : machine.pagesUnshared();
    }

    private static boolean skipsPages(KsmStats machine) {
        return machine.smartScan().orElse(0) != 0;
    }

    /** Uses bytes instead of pages, because merged bytes include zero pages on kernels that count them. */
    private static Optional<Finding> wastedEffort(
            Scope scope, OptionalLong pages, OptionalLong mergedBytes, long pageSize) {
        OptionalDouble ratio = Derived.ratio(Derived.bytes(pages, pageSize), mergedBytes);
        return ratio.isEmpty()
                ? Optional.empty()
                : finding(
                        ratio.getAsDouble() > pageSize / RECORD_BYTES,
                        Kind.WASTED_EFFORT,
                        scope,
                        ratio.getAsDouble(),
                        pageSize / RECORD_BYTES,
                        Double.isInfinite(ratio.getAsDouble())
                                ? "ksmd has scanned " + ByteCount.text(pages.orElse(0) * pageSize)
                                        + ", and none of it has merged"
                                : "ksmd scans %.1f pages for each page it merges; at %.0f its records cost as much as"
                                        + " merging saves",
                        "mark only memory that has copies; just after a start, wait for two full scans");
    }

    private static Optional<Finding> volatilePages(KsmStats machine) {
        OptionalDouble share = machine.volatileShare();
        return share.isEmpty()
                ? Optional.empty()
                : finding(
                        share.getAsDouble() > MOSTLY_VOLATILE,
                        Kind.VOLATILE_PAGES,
                        Scope.MACHINE,
                        share.getAsDouble(),
                        MOSTLY_VOLATILE,
                        Math.round(100 * share.getAsDouble()) + " %% of the marked pages changed between two scans"
                                + (skipsPages(machine)
                                        ? ", or were skipped by smart_scan because they had not merged"
                                        : ""),
                        "mark memory that has copies and is only read after it was loaded; just after a start, wait"
                                + " for two full scans");
    }

    private static Optional<Finding> hugePages(RegionStats regions) {
        return finding(
                regions.hugeBytes() > 0,
                Kind.HUGE_PAGES,
                Scope.REGIONS,
                (double) regions.hugeBytes(),
                0,
                ByteCount.text(regions.hugeBytes())
                        + " of marked memory is in huge pages, which do not merge until ksmd has split them",
                "open regions with HugePages.AVOID");
    }

    /** The first number formatted into the reason is the measured value; the second, if there is one, is the limit. */
    private static Optional<Finding> finding(
            boolean holds, Kind kind, Scope scope, double number, double limit, String reason, String remedy) {
        return holds
                ? Optional.of(new Finding(
                        kind, scope, number, limit, String.format(Locale.ROOT, reason, number, limit), remedy))
                : Optional.empty();
    }
}
