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
 * Something about merging that is worth a change, with the number it was found by.
 *
 * <p>The rules are those of the kernel document {@code Documentation/admin-guide/mm/ksm.rst}, as of Linux 6.18. Where it calls a
 * number high without saying how high, the limit is ksm4j's own, and {@link Kind} says so. Profit and shares are not judged before
 * {@code ksmd} has looked at 16 MiB: with fewer pages they are chance.
 *
 * @param kind what was found
 * @param scope what it was found in
 * @param number the number that was looked at; what it counts is said at the kind
 * @param limit what the rule compares the number with; where the kind names no other, 0
 * @param explanation what it means and what to do, for people
 */
public record Finding(Kind kind, Scope scope, double number, double limit, String explanation) {

    /** What a finding is about. */
    public enum Scope {
        /** All memory that is marked on this machine, whoever marked it. */
        MACHINE,
        /** All marked memory of one process. */
        PROCESS,
        /** The regions that ksm4j has marked. */
        REGIONS
    }

    /** What can be found. */
    public enum Kind {
        /**
         * {@code /sys/kernel/mm/ksm} is not there: the kernel has no KSM, or a container hides it. The number is that of the
         * lines of the process's {@code ksm_stat}; more than 0, and the kernel has KSM.
         */
        HIDDEN,
        /** {@code ksmd} does not run. The number is the setting {@code run}, the limit 1. */
        KSMD_STOPPED,
        /** Another finding asks to change a setting, and this process has no right to. The number counts such findings. */
        NO_PERMISSION,
        /**
         * {@code ksmd} looks at many pages for each that it merges. The number is {@code pages_unshared}, with {@code smart_scan}
         * {@code pages_volatile} added, for each of {@code pages_sharing}, and of a process {@code ksm_rmap_items} for each of
         * {@code ksm_merging_pages}; pages that became the kernel's zero page are merged, too. The limit is the page size by the
         * 64 bytes of a record, the document's 64 with pages of 4 KiB: beyond it the records alone cost what is saved. The number is
         * infinite if nothing has merged.
         */
        WASTED_EFFORT,
        /**
         * Marked pages change too fast to merge, or with {@code smart_scan} merged with nothing and are passed over. The number is the
         * share of {@code pages_volatile}; the limit, more than half, is ksm4j's own.
         */
        VOLATILE_PAGES,
        /** Merging costs more memory than it saves. The number is the profit in bytes, the limit 0. */
        NEGATIVE_PROFIT,
        /**
         * Data is gone before it can merge. The number is the time of two full scans in seconds by {@link
         * KsmStats#fullScanTime}, as a page is recorded in one and merged in another; the limit is the life of the data in
         * seconds. The number is infinite if {@code pages_to_scan} is 0.
         */
        SLOW_SCAN,
        /**
         * Pages have as many copies as may share one page. The number is {@code stable_node_chains}, the contents that are kept
         * more than once for it; the limit 0.
         */
        MAX_PAGE_SHARING,
        /** Marked memory lies in huge pages, which do not merge before they are split. The number is bytes, the limit 0. */
        HUGE_PAGES
    }

    /** The document's own size of a record of one page, on 64-bit kernels. */
    private static final double RECORD_BYTES = 64;

    private static final double MOSTLY_VOLATILE = 0.5;

    /** Of less that {@code ksmd} has looked at, numbers say nothing. */
    private static final long ENOUGH_BYTES = 16 << 20;

    /**
     * Looks for everything, in these numbers alone; but for whether this process may change the machine's settings, which is tried at
     * the moment of the call if a finding asks for a change.
     *
     * @param machine what the kernel says of the machine
     * @param process what it says of a process
     * @param regions what it says of regions, all of them together
     * @param lifeOfData how long data stays in memory unchanged; empty if scans are not to be judged
     * @return what was found, the gravest first; empty if all is well
     */
    public static List<Finding> of(
            KsmStats machine, ProcessKsmStats process, RegionStats regions, Optional<Duration> lifeOfData) {
        List<Finding> findings = new ArrayList<>();
        if (!machine.isAvailable()) {
            findings.add(hidden(process));
        } else {
            int asksForSettings = findings.size();
            stopped(machine).ifPresent(findings::add);
            lifeOfData.flatMap(life -> slowScan(machine, life)).ifPresent(findings::add);
            maxPageSharing(machine).ifPresent(findings::add);
            asksForSettings = findings.size() - asksForSettings;
            if (asksForSettings > 0 && !machine.isWritable()) {
                findings.add(new Finding(
                        Kind.NO_PERMISSION,
                        Scope.PROCESS,
                        asksForSettings,
                        0,
                        asksForSettings
                                + " findings ask for a change of ksmd's settings, and this process has no right to: root"
                                + " can, on the host if this is a container"));
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
            wastedEffort(Scope.MACHINE, lookedAtInVain(machine), machine.savedBytes(), machine.pageSize())
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
        int told = process.entries().size();
        return new Finding(
                Kind.HIDDEN,
                Scope.MACHINE,
                told,
                0,
                told > 0
                        ? "/sys/kernel/mm/ksm is hidden, though the kernel has KSM, as " + told
                                + " lines of ksm_stat show: mount the host's /sys, read-only, into the container"
                        : "/sys/kernel/mm/ksm is not there: the kernel was built without CONFIG_KSM, or a container hides it");
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
                "ksmd does not run, run is " + run.getAsLong()
                        + ", so nothing merges: write 1 to /sys/kernel/mm/ksm/run"));
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
                    "ksmd looks at no page, as pages_to_scan is 0: raise it"));
        }
        double seconds = 2 * seconds(scan.orElseThrow());
        return finding(
                seconds > seconds(life),
                Kind.SLOW_SCAN,
                Scope.MACHINE,
                seconds,
                seconds(life),
                "merging takes two full scans, %.1f s"
                        + (passesOver(machine) ? " or less, as smart_scan passes over old pages," : "")
                        + " with these settings, and data lives %.1f s: raise pages_to_scan, lower sleep_millisecs, or mark"
                        + " less");
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
                                + " that may share one page, and are kept more than once: raise max_page_sharing if that"
                                + " matters; it takes run at 2 first, which takes all merged pages apart");
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
                        "merging costs " + ByteCount.text(-profit.getAsLong())
                                + " more than it saves: unmark what has no copies");
    }

    /** What {@code smart_scan} passes over is counted as volatile, so that only the sum of the two says what merged with nothing. */
    private static OptionalLong lookedAtInVain(KsmStats machine) {
        return passesOver(machine)
                ? Derived.sum(machine.pagesUnshared(), machine.pagesVolatile())
                : machine.pagesUnshared();
    }

    private static boolean passesOver(KsmStats machine) {
        return machine.smartScan().orElse(0) != 0;
    }

    /** Bytes that are merged, because they count zero pages where the kernel does. */
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
                        (Double.isInfinite(ratio.getAsDouble())
                                        ? "ksmd has looked at "
                                                + ByteCount.text(pages.orElse(0) * pageSize)
                                                + ", and nothing of it has merged"
                                        : "ksmd looks at %.1f pages for each that it merges, and at %.0f its records cost"
                                                + " what is saved")
                                + ": mark only what has copies; just after a start, wait for two full scans");
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
                                + (passesOver(machine)
                                        ? ", or were passed over by smart_scan, having merged with nothing"
                                        : "")
                                + ": mark memory that is loaded once and then read, and has copies; just after a start, wait for"
                                + " two full scans");
    }

    private static Optional<Finding> hugePages(RegionStats regions) {
        return finding(
                regions.hugeBytes() > 0,
                Kind.HUGE_PAGES,
                Scope.REGIONS,
                (double) regions.hugeBytes(),
                0,
                ByteCount.text(regions.hugeBytes())
                        + " of marked memory lie in huge pages, which do not merge until ksmd has split them: open"
                        + " regions with HugePages.AVOID");
    }

    /** The text's first number is the one that was found, the second, if it has one, the limit. */
    private static Optional<Finding> finding(
            boolean holds, Kind kind, Scope scope, double number, double limit, String text) {
        return holds
                ? Optional.of(new Finding(kind, scope, number, limit, String.format(Locale.ROOT, text, number, limit)))
                : Optional.empty();
    }
}
