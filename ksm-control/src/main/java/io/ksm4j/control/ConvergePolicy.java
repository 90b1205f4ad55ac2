package io.ksm4j.control;

import java.time.Duration;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** {@link TuningPolicy#converge}. Times are seconds, of the clock or of {@code ksmd}'s CPU time. */
final class ConvergePolicy {

    private static final double IDLE_SHARE = 0.01;

    private static final Duration PAUSE_AT_WORK = Duration.ofMillis(50);
    /** Each look at the machine takes time from {@code ksmd}, and there is no budget to look after. */
    private static final Duration PAUSE_AT_FULL_TILT = Duration.ofMillis(100);

    private static final Duration PAUSE_IDLE = Duration.ofMillis(500);

    /** How long {@code ksmd} works and sleeps in turn: short enough to be told otherwise soon. */
    private static final double CYCLE_AT_WORK = 0.04;

    private static final double CYCLE_IDLE = 0.2;

    /** With no more sleep than this in a cycle, there is none: the kernel sleeps whole ticks. */
    private static final double FULL_TILT = 0.97;

    /** What a page that is new takes, about, on the machines seen. */
    private static final double ASSUMED_COST = 3e-6;

    /** CPU time from which a cost can be told: three of the kernel's ticks, by which it counts. */
    private static final double TO_TELL_COST = 0.03;

    /** What was left over is not spent later, except for this much of a second's. */
    private static final double MOST_CREDIT = 0.1;

    private static final double MOST_IDLE_DEBT = 0.01;

    /** Credit and debt are spent over this time. */
    private static final double TO_SETTLE = 0.25;

    private static final long MOST_PAGES = 1_000_000;

    /**
     * After the last progress, the end of the scan it was seen in, one that records what pages are like, and one that would have
     * merged those that stayed so.
     */
    private static final long QUIET_SCANS = 3;

    /** For so long {@code ksmd} looks at nothing only if there is nothing to look at. */
    private static final double NOTHING_TO_SCAN = 3;

    private static final double LONGEST_REST = 64;

    /** Numbers at one time, against which progress and news are measured. */
    private record Mark(double time, long merged, long known, long changing, long marked, long scans, long scanned) {

        static Mark of(Observation at) {
            return new Mark(
                    seconds(at.time()),
                    at.pagesMerged(),
                    at.pagesKnown().orElse(0),
                    at.pagesVolatile().orElse(0),
                    at.markedBytes(),
                    at.fullScans().orElse(0),
                    at.pagesScanned().orElse(0));
        }

        /** What went away is not missed: only what comes is news. */
        Mark lowest(Mark now) {
            return new Mark(
                    time,
                    Math.min(merged, now.merged),
                    Math.min(known, now.known),
                    Math.min(changing, now.changing),
                    Math.min(marked, now.marked),
                    scans,
                    scanned);
        }

        /** What is too little to be worth a scan. */
        long aFew() {
            return Math.max(16, known / 1000);
        }
    }

    private final double share;

    private @Nullable Observation last;
    private @Nullable Observation costFrom;
    private double cost = ASSUMED_COST;
    private double credit;

    private boolean isIdle;
    /** When this spell of work, or of rest, began. */
    private @Nullable Mark begin;
    /** At work, the last progress; idle, the least seen. */
    private @Nullable Mark reference;

    /** The last time that {@code ksmd} was seen to scan. */
    private @Nullable Mark moved;

    private double rest;

    ConvergePolicy(double coreShare) {
        this.share = requireShare(coreShare);
    }

    static double requireShare(double coreShare) {
        if (!(coreShare > 0 && coreShare <= 1)) {
            throw new IllegalArgumentException("a share of a core is above 0 and at most 1: " + coreShare);
        }
        return coreShare;
    }

    private static double seconds(Duration duration) {
        return duration.toNanos() / 1e9;
    }

    Decision decide(Observation now) {
        account(now);
        Mark mark = Mark.of(now);
        if (begin == null || reference == null) {
            begin = mark;
            reference = mark;
        }
        String reason = isIdle ? idle(mark, begin, reference) : work(mark, begin, reference);
        if (isIdle) {
            return new Decision(paced(now, idleShare(), CYCLE_IDLE), PAUSE_IDLE, true, reason);
        }
        if (share >= FULL_TILT) {
            return new Decision(scanning(now, pages(CYCLE_AT_WORK), 0), PAUSE_AT_FULL_TILT, reason);
        }
        return new Decision(paced(now, share, CYCLE_AT_WORK), PAUSE_AT_WORK, reason);
    }

    /** What was spent since the last observation, and what a page cost. */
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
        credit = Math.min(credit + target * elapsed - spent, target * MOST_CREDIT);
        if (isIdle) {
            // The end of the last batch at work is in it, and must not blind the slow scan for seconds.
            credit = Math.max(credit, -MOST_IDLE_DEBT);
        }
        double spentOnPages = seconds(now.ksmdTime()
                .get()
                .minus(costFrom.ksmdTime().orElse(now.ksmdTime().get())));
        long pages = now.pagesScanned().orElse(0) - costFrom.pagesScanned().orElse(0);
        if (spentOnPages >= TO_TELL_COST && pages > 0) {
            cost = Math.max(1e-7, Math.min(spentOnPages / pages, 1e-3));
            costFrom = now;
        }
    }

    private String work(Mark now, Mark began, Mark progress) {
        if (now.merged - progress.merged >= now.aFew()
                || Math.abs(now.known - progress.known) >= now.aFew()
                || now.marked > progress.marked) {
            reference = now;
            return String.format(Locale.ROOT, "merging pays: %d pages known, %d of them saved", now.known, now.merged);
        }
        reference = new Mark(
                progress.time,
                Math.min(progress.merged, now.merged),
                progress.known,
                progress.changing,
                Math.min(progress.marked, now.marked),
                progress.scans,
                progress.scanned);
        long quiet = now.scans - progress.scans;
        if (quiet >= QUIET_SCANS) {
            return toRest(now, began, quiet + " full scans without more to merge");
        }
        if (moved == null || now.scans != moved.scans || now.scanned != moved.scanned) {
            moved = now;
        }
        if (now.time - moved.time >= NOTHING_TO_SCAN) {
            rest = 0;
            return toIdle(now, "nothing is marked mergeable, as ksmd does not scan");
        }
        return "scanning: " + quiet + " full scans without more to merge so far";
    }

    private String toRest(Mark now, Mark began, String reason) {
        boolean paid = now.merged - began.merged >= now.aFew();
        rest = paid ? 0 : Math.min(Math.max(1, 2 * rest), LONGEST_REST);
        return toIdle(now, reason);
    }

    private String toIdle(Mark now, String reason) {
        isIdle = true;
        begin = now;
        reference = now;
        credit = 0;
        return reason;
    }

    private String idle(Mark now, Mark began, Mark least) {
        if (now.marked > least.marked) {
            return toWork(now, "this JVM has marked " + (now.marked - least.marked) + " bytes more");
        }
        reference = least.lowest(now);
        if (now.time - began.time < rest) {
            return "resting, as the last scans were for nothing";
        }
        if (now.known - least.known >= now.aFew()) {
            return toWork(now, (now.known - least.known) + " pages more are known");
        }
        if (now.merged - least.merged >= now.aFew()) {
            return toWork(now, (now.merged - least.merged) + " pages more were merged by the slow scan");
        }
        if (now.changing - least.changing >= now.aFew()) {
            return toWork(now, (now.changing - least.changing) + " pages more have changed");
        }
        return "nothing new";
    }

    private String toWork(Mark now, String reason) {
        isIdle = false;
        moved = now;
        begin = now;
        reference = now;
        // Of pages that are merged already, the slow scan has learned how little they cost.
        cost = Math.max(cost, ASSUMED_COST);
        costFrom = last;
        return reason;
    }

    private double idleShare() {
        return Math.min(share, IDLE_SHARE);
    }

    /** Batches and sleep in turn that take the target's share of a core, corrected by what was spent before. */
    private KsmSettings paced(Observation now, double target, double cycle) {
        double aim = Math.max(0, Math.min(target + credit / TO_SETTLE, Math.min(1, 2 * target)));
        if (aim >= FULL_TILT) {
            return scanning(now, pages(CYCLE_AT_WORK), 0);
        }
        long sleep = Math.max(1, Math.round((1 - aim) * cycle * 1000));
        return scanning(now, pages(aim / (1 - aim) * sleep / 1000), sleep);
    }

    /** How many pages take so long. */
    private long pages(double seconds) {
        return Math.max(1, Math.min(Math.round(seconds / cost), MOST_PAGES));
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
