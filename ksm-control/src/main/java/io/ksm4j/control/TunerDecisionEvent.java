// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.util.concurrent.TimeUnit;
import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Percentage;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/** The Java Flight Recorder event of a tuner's decision. */
@Name("io.ksm4j.TunerDecision")
@Category("ksm4j")
@Label("KSM Tuner Decision")
@Description("A tuner has observed what merging does, and decided on the settings of ksmd. A number that this machine "
        + "does not provide is missing (Long.MIN_VALUE, and negative infinity for the share of time stalled)")
@StackTrace(false)
final class TunerDecisionEvent extends Event {

    private static final long MISSING = Long.MIN_VALUE;
    private static final double WHOLE = 100;

    @Label("Reason")
    String reason = "";

    @Label("Settings")
    String settings = "";

    @Label("Pause")
    @Description("Time until the next decision")
    @Timespan(Timespan.NANOSECONDS)
    long pause;

    @Label("Pages Saved")
    long pagesSharing;

    @Label("Pages Known")
    long pagesKnown;

    @Label("Full Scans")
    @Description("Since the machine started")
    long fullScans;

    @Label("CPU Time of ksmd")
    @Description("Since the machine started")
    @Timespan(Timespan.NANOSECONDS)
    long ksmdTime;

    @Label("Stalled")
    @Description("Share of the last ten seconds in which some task waited for memory")
    @Percentage
    double stalled;

    static void record(Observation observation, Decision decision) {
        TunerDecisionEvent event = new TunerDecisionEvent();
        if (!event.shouldCommit()) {
            return;
        }
        event.reason = decision.reason();
        event.settings = decision.settings().toString();
        event.pause = TimeUnit.NANOSECONDS.convert(decision.pause());
        event.pagesSharing = observation.pagesSharing().orElse(MISSING);
        event.pagesKnown = observation.pagesKnown().orElse(MISSING);
        event.fullScans = observation.fullScans().orElse(MISSING);
        event.ksmdTime = observation.ksmdTime().map(time -> time.toNanos()).orElse(MISSING);
        event.stalled = observation.stalledPercent().orElse(Double.NEGATIVE_INFINITY) / WHOLE;
        event.commit();
    }
}
