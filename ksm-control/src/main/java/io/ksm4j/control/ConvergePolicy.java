// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.internal.linux.PageSize;
import java.time.Duration;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Implements {@link TuningPolicy#converge}. Times are in seconds, of the clock or of the CPU time of {@code ksmd}. */
final class ConvergePolicy {

    private static final double IDLE_SHARE = 0.01;

    private static final Duration PAUSE_WORKING = Duration.ofMillis(50);

    /** Without a budget to keep, observations only have to find out when the work is done. */
    private static final double MIN_PAUSE_WHOLE_CORE = 0.1;

    private static final double MAX_PAUSE_WHOLE_CORE = 1;

    /** The pause at a whole core, relative to the time worked so far: {@code ksmd} works that much longer at most. */
    private static final double PAUSE_TO_WORK = 0.25;

    private static final Duration PAUSE_IDLE = Duration.ofMillis(500);

    /** How long one batch and one sleep of {@code ksmd} take together: short enough for new settings to apply soon. */
    private static final double CYCLE_WORKING = 0.04;

    private static final double CYCLE_IDLE = 0.2;

    /** From this share of a core on, {@code ksmd} does not sleep at all: the kernel only sleeps for whole ticks. */
    private static final double WHOLE_CORE = 0.97;

    /** CPU time to scan a new page, roughly, as measured on several machines. */
    private static final double ASSUMED_COST = 3e-6;

    /** Minimum CPU time to calculate a cost from: three of the ticks that the kernel counts in. */
    private static final double MIN_MEASURED_TIME = 0.03;

    /** Unused budget is lost, except for that of this many seconds. */
    private static final double MAX_CREDIT = 0.1;

    private static final double MAX_IDLE_DEBT = 0.01;

    /** How long it takes to use up credit or to pay back debt. */
    private static final double SETTLEMENT_TIME = 0.25;

    private static final long MAX_PAGES = 1_000_000;

    private static final long PAGES_WHOLE_CORE = 5000;

    /**
     * By how much settings may differ from those that take the target share exactly. Changing a setting costs more CPU
     * time than an observation, and the credit corrects the difference later.
     */
    private static final double SIMILAR = 0.1;

    /**
     * Full scans without progress after which progress has stopped even if pages still change: the rest of the scan
     * that made the last progress, one that records the content of pages, and one that would have merged those that did
     * not change.
     */
    private static final long QUIET_SCANS = 3;

    /** Full scans that end before each page has been reached: the rest of the present one, and a whole one. */
    private static final long SCANS_TO_REACH = 2;

    /** If {@code ksmd} scans no page for this long, there is no page to scan. */
    private static final double NOTHING_TO_SCAN = 3;

    private static final double MAX_REST = 64;

    /** The numbers of one observation, to measure progress and changes against. */
    private record Counters(
            double time, long merged, long known, long changing, long marked, long scans, long scanned) {

        static final Counters NONE = new Counters(0, 0, 0, 0, 0, 0, 0);

        static Counters of(Observation at) {
            return new Counters(
                    seconds(at.time()),
                    at.pagesMerged(),
                    at.pagesKnown().orElse(0),
                    // Unknown, they must not count as none.
                    at.pagesVolatile().orElse(Long.MAX_VALUE),
                    at.markedBytes(),
                    at.fullScans().orElse(0),
                    at.pagesScanned().orElse(0));
        }

        /** Lowers each number to its current value, so that only later increases count as changes. */
        Counters lowest(Counters now) {
            return new Counters(
                    time,
                    Math.min(merged, now.merged),
                    Math.min(known, now.known),
                    Math.min(changing, now.changing),
                    Math.min(marked, now.marked),
                    scans,
                    scanned);
        }

        Counters withMarked(long bytes, long pagesBefore) {
            return new Counters(time, merged, pagesBefore, changing, bytes, scans, scanned);
        }

        /** {@return the number of pages below which a change is not worth a scan} */
        long minChange() {
            return Math.max(16, known / 1000);
        }
    }

    private final double share;
    private final long pageSize;

    private @Nullable Observation last;
    private @Nullable Observation costFrom;
    private double cost = ASSUMED_COST;
    private double credit;

    /** The last settings that take a share of a core. */
    private long pacedPages;

    private long pacedSleep;

    private boolean isIdle;

    /**
     * The beginning of this phase, of work or of idling. For work, with the bytes that were marked and the pages that
     * were known before anything was new.
     */
    private Counters begin = Counters.NONE;

    /** While working, the last progress; while idle, the lowest numbers. */
    private Counters reference = Counters.NONE;

    /** The last observation in which {@code ksmd} had scanned pages. */
    private Counters lastScan = Counters.NONE;

    /** The last full scan in which pages were volatile. */
    private long lastVolatileScan;

    /** When this full scan has ended, all memory marked so far has been scanned. */
    private long lastReachingScan;

    /** Whether everything was compared at the last observation. */
    private boolean wasCompared;

    /** How long the idle phase lasts at least, unless this JVM marks memory. */
    private double rest;

    ConvergePolicy(double coreShare) {
        this(coreShare, PageSize.ofThisMachine());
    }

    /** @param pageSize the bytes of a page; 0 if unknown */
    ConvergePolicy(double coreShare, long pageSize) {
        this.share = requireShare(coreShare);
        this.pageSize = pageSize;
    }

    static double requireShare(double coreShare) {
        if (!(coreShare > 0 && coreShare <= 1)) {
            throw new IllegalArgumentException("a share of a core must be above 0 and at most 1: " + coreShare);
        }
        return coreShare;
    }

    private static double seconds(Duration duration) {
        return duration.toNanos() / 1e9;
    }

    Decision decide(Observation now) {
        boolean isFirst = last == null;
        account(now);
        Counters counters = Counters.of(now);
        if (isFirst) {
            beginWork(counters, 0, counters.known);
            lastReachingScan = counters.scans + SCANS_TO_REACH;
            lastScan = counters;
        }
        String reason = isIdle ? idle(counters) : work(counters);
        if (isIdle) {
            return new Decision(paced(now, idleShare(), CYCLE_IDLE), PAUSE_IDLE, true, reason);
        }
        if (share >= WHOLE_CORE) {
            return new Decision(scanning(now, PAGES_WHOLE_CORE, 0), pauseAtWholeCore(counters), reason);
        }
        return new Decision(paced(now, share, CYCLE_WORKING), PAUSE_WORKING, reason);
    }

    /** Updates the credit and the cost of a page by the CPU time used since the last observation. */
    private void account(Observation now) {
        Observation before = last;
        last = now;
        if (before == null || costFrom == null) {
            costFrom = now;
            return;
        }
        if (now.ksmdTime().isEmpty() || before.ksmdTime().isEmpty()) {
            return;
        }
        double target = isIdle ? idleShare() : share;
        double elapsed = seconds(now.time().minus(before.time()));
        double spent = seconds(now.ksmdTime().get().minus(before.ksmdTime().get()));
        credit = Math.min(credit + target * elapsed - spent, target * MAX_CREDIT);
        if (isIdle) {
            // Includes the end of the last full-rate batch, which must not stop the slow scan for seconds.
            credit = Math.max(credit, -MAX_IDLE_DEBT);
        }
        double spentOnPages = seconds(now.ksmdTime()
                .get()
                .minus(costFrom.ksmdTime().orElse(now.ksmdTime().get())));
        long pages = now.pagesScanned().orElse(0) - costFrom.pagesScanned().orElse(0);
        if (spentOnPages >= MIN_MEASURED_TIME && pages > 0) {
            cost = Math.max(1e-7, Math.min(spentOnPages / pages, 1e-3));
            costFrom = now;
        }
    }

    private String work(Counters now) {
        Counters progress = reference;
        if (now.marked > progress.marked) {
            lastReachingScan = now.scans + SCANS_TO_REACH;
        }
        boolean isCompared = isCompared(now);
        boolean isConfirmed = isCompared && wasCompared;
        wasCompared = isCompared;
        if (isConfirmed) {
            return toRest(
                    now, "everything is compared: " + now.known + " pages known, " + now.merged + " of them saved");
        }
        if (now.merged - progress.merged >= now.minChange()
                || Math.abs(now.known - progress.known) >= now.minChange()
                || now.marked > progress.marked) {
            reference = now;
            return String.format(
                    Locale.ROOT, "merging makes progress: %d pages known, %d of them saved", now.known, now.merged);
        }
        reference = new Counters(
                progress.time,
                Math.min(progress.merged, now.merged),
                progress.known,
                progress.changing,
                Math.min(progress.marked, now.marked),
                progress.scans,
                progress.scanned);
        long quiet = now.scans - progress.scans;
        if (quiet >= QUIET_SCANS) {
            return toRest(now, quiet + " full scans without progress");
        }
        if (now.scans != lastScan.scans || now.scanned != lastScan.scanned) {
            lastScan = now;
        }
        if (now.time - lastScan.time >= NOTHING_TO_SCAN) {
            rest = 0;
            return toIdle(now, "ksmd scans nothing, so no memory is mergeable");
        }
        return "scanning: " + quiet + " full scans without progress so far";
    }

    /**
     * Returns whether every page has been compared with all others, so that no page is left to merge. The kernel counts
     * a page as volatile from the scan that finds it new or changed until a scan finds it unchanged and compares it. So
     * if no page is volatile when a full scan ends, that scan has compared all pages that it reached. Observations are
     * made some time before and after that end, so the next one has to confirm the result.
     */
    private boolean isCompared(Counters now) {
        if (now.changing >= now.minChange()) {
            lastVolatileScan = now.scans;
        }
        boolean areMarkedKnown =
                now.marked > begin.marked && now.known + now.minChange() >= begin.known + pagesMarked(now);
        return now.scans > lastVolatileScan && (now.scans > lastReachingScan || areMarkedKnown);
    }

    /** {@return the pages that this JVM has marked in this phase of work; too many if the page size is unknown} */
    private long pagesMarked(Counters now) {
        return Math.max(0, now.marked - begin.marked) / Math.max(1, pageSize);
    }

    private String toRest(Counters now, String reason) {
        boolean hadProgress = now.merged - begin.merged >= now.minChange();
        rest = hadProgress ? 0 : Math.min(Math.max(1, 2 * rest), MAX_REST);
        return toIdle(now, reason);
    }

    private String toIdle(Counters now, String reason) {
        isIdle = true;
        begin = now;
        reference = now;
        credit = 0;
        return reason;
    }

    private String idle(Counters now) {
        Counters lowest = reference;
        if (now.marked > lowest.marked) {
            String reason = toWork(now, "this JVM has marked " + (now.marked - lowest.marked) + " more bytes");
            lastReachingScan = now.scans + SCANS_TO_REACH;
            return reason;
        }
        reference = lowest.lowest(now);
        if (now.time - begin.time < rest) {
            return "resting, since the last scans made no progress";
        }
        if (now.known - lowest.known >= now.minChange()) {
            return toWork(now, (now.known - lowest.known) + " more pages are known");
        }
        if (now.merged - lowest.merged >= now.minChange()) {
            return toWork(now, (now.merged - lowest.merged) + " more pages were merged by the slow scan");
        }
        if (now.changing - lowest.changing >= now.minChange()) {
            return toWork(now, (now.changing - lowest.changing) + " more pages have changed");
        }
        return "nothing new";
    }

    private String toWork(Counters now, String reason) {
        isIdle = false;
        lastScan = now;
        beginWork(now, reference.marked, reference.known);
        // The slow scan has measured pages that are already merged, which cost less than new ones.
        cost = Math.max(cost, ASSUMED_COST);
        costFrom = last;
        return reason;
    }

    private void beginWork(Counters now, long markedBefore, long knownBefore) {
        begin = now.withMarked(markedBefore, knownBefore);
        reference = now;
        lastVolatileScan = now.scans;
        lastReachingScan = now.scans;
        wasCompared = false;
    }

    private double idleShare() {
        return Math.min(share, IDLE_SHARE);
    }

    /**
     * Returns the pause until the next observation at a whole core. Before {@code ksmd} can have scanned all newly
     * marked pages twice, there is little to find out.
     */
    private Duration pauseAtWholeCore(Counters now) {
        double worked = now.time - begin.time;
        double left = 2 * pagesMarked(now) * ASSUMED_COST - worked;
        double pause = Math.min(Math.max(left, PAUSE_TO_WORK * worked), MAX_PAUSE_WHOLE_CORE);
        return Duration.ofNanos(Math.round(Math.max(pause, MIN_PAUSE_WHOLE_CORE) * 1e9));
    }

    /** {@return settings that take the target share of a core, corrected by credit or debt} */
    private KsmSettings paced(Observation now, double target, double cycle) {
        double aim = Math.max(0, Math.min(target + credit / SETTLEMENT_TIME, Math.min(1, 2 * target)));
        if (aim >= WHOLE_CORE) {
            return scanning(now, pages(CYCLE_WORKING), 0);
        }
        long sleep = Math.max(1, Math.round((1 - aim) * cycle * 1000));
        long pages = pages(aim / (1 - aim) * sleep / 1000);
        if (!isSimilar(pages, pacedPages) || !isSimilar(sleep, pacedSleep)) {
            pacedPages = pages;
            pacedSleep = sleep;
        }
        return scanning(now, pacedPages, pacedSleep);
    }

    private static boolean isSimilar(long value, long before) {
        return Math.abs(value - before) <= SIMILAR * before;
    }

    /** {@return the number of pages that take a time to scan} */
    private long pages(double seconds) {
        return Math.max(1, Math.min(Math.round(seconds / cost), MAX_PAGES));
    }

    private static KsmSettings scanning(Observation now, long pages, long sleep) {
        KsmSettings settings = now.withoutAdvisor();
        if (now.settings().get(KsmSetting.SMART_SCAN).isPresent()) {
            settings = settings.with(KsmSetting.SMART_SCAN, 0);
        }
        return settings.with(KsmSetting.PAGES_TO_SCAN, pages)
                .with(KsmSetting.SLEEP_MILLISECS, sleep)
                .with(KsmSetting.RUN, 1);
    }
}
