// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.time.Duration;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Implements {@link TuningPolicy#converge}. Times are in seconds, of the clock or of the CPU time of {@code ksmd}. */
final class ConvergePolicy {

    private static final double IDLE_SHARE = 0.01;

    private static final Duration PAUSE_WORKING = Duration.ofMillis(50);

    /** Longer, since each observation takes CPU time from {@code ksmd}, and there is no budget to keep. */
    private static final Duration PAUSE_WHOLE_CORE = Duration.ofMillis(100);

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

    /**
     * Full scans without progress after which progress has stopped: the rest of the scan that made the last progress,
     * one that records the content of pages, and one that would have merged those that did not change.
     */
    private static final long QUIET_SCANS = 3;

    /** If {@code ksmd} scans no page for this long, there is no page to scan. */
    private static final double NOTHING_TO_SCAN = 3;

    private static final double MAX_REST = 64;

    /** The numbers of one observation, to measure progress and changes against. */
    private record Counters(
            double time, long merged, long known, long changing, long marked, long scans, long scanned) {

        static Counters of(Observation at) {
            return new Counters(
                    seconds(at.time()),
                    at.pagesMerged(),
                    at.pagesKnown().orElse(0),
                    at.pagesVolatile().orElse(0),
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

        /** {@return the number of pages below which a change is not worth a scan} */
        long minChange() {
            return Math.max(16, known / 1000);
        }
    }

    private final double share;

    private @Nullable Observation last;
    private @Nullable Observation costFrom;
    private double cost = ASSUMED_COST;
    private double credit;

    private boolean isIdle;

    /** The beginning of this phase, of work or of idling. */
    private @Nullable Counters begin;

    /** While working, the last progress; while idle, the lowest numbers. */
    private @Nullable Counters reference;

    /** The last observation in which {@code ksmd} had scanned pages. */
    private @Nullable Counters lastScan;

    /** How long the idle phase lasts at least, unless this JVM marks memory. */
    private double rest;

    ConvergePolicy(double coreShare) {
        this.share = requireShare(coreShare);
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
        account(now);
        Counters counters = Counters.of(now);
        if (begin == null || reference == null) {
            begin = counters;
            reference = counters;
        }
        String reason = isIdle ? idle(counters, begin, reference) : work(counters, begin, reference);
        if (isIdle) {
            return new Decision(paced(now, idleShare(), CYCLE_IDLE), PAUSE_IDLE, true, reason);
        }
        if (share >= WHOLE_CORE) {
            return new Decision(scanning(now, pages(CYCLE_WORKING), 0), PAUSE_WHOLE_CORE, reason);
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

    private String work(Counters now, Counters began, Counters progress) {
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
            return toRest(now, began, quiet + " full scans without progress");
        }
        if (lastScan == null || now.scans != lastScan.scans || now.scanned != lastScan.scanned) {
            lastScan = now;
        }
        if (now.time - lastScan.time >= NOTHING_TO_SCAN) {
            rest = 0;
            return toIdle(now, "ksmd scans nothing, so no memory is mergeable");
        }
        return "scanning: " + quiet + " full scans without progress so far";
    }

    private String toRest(Counters now, Counters began, String reason) {
        boolean hadProgress = now.merged - began.merged >= now.minChange();
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

    private String idle(Counters now, Counters began, Counters lowest) {
        if (now.marked > lowest.marked) {
            return toWork(now, "this JVM has marked " + (now.marked - lowest.marked) + " more bytes");
        }
        reference = lowest.lowest(now);
        if (now.time - began.time < rest) {
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
        begin = now;
        reference = now;
        // The slow scan has measured pages that are already merged, which cost less than new ones.
        cost = Math.max(cost, ASSUMED_COST);
        costFrom = last;
        return reason;
    }

    private double idleShare() {
        return Math.min(share, IDLE_SHARE);
    }

    /** {@return settings that take the target share of a core, corrected by credit or debt} */
    private KsmSettings paced(Observation now, double target, double cycle) {
        double aim = Math.max(0, Math.min(target + credit / SETTLEMENT_TIME, Math.min(1, 2 * target)));
        if (aim >= WHOLE_CORE) {
            return scanning(now, pages(CYCLE_WORKING), 0);
        }
        long sleep = Math.max(1, Math.round((1 - aim) * cycle * 1000));
        return scanning(now, pages(aim / (1 - aim) * sleep / 1000), sleep);
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
