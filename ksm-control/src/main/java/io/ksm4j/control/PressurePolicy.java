// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.time.Duration;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Implements {@link TuningPolicy#pressure(double, double, double, double)}. */
final class PressurePolicy {

    private static final Duration PAUSE = Duration.ofSeconds(1);

    private final double coreShare;
    private final double startBelow;
    private final double stopAbove;
    private final double stalledPercent;

    /** Merges while memory is short. New for each shortage, since memory may have been marked in between. */
    private @Nullable ConvergePolicy merging;

    PressurePolicy(double coreShare, double startBelow, double stopAbove, double stalledPercent) {
        ConvergePolicy.requireShare(coreShare);
        if (!(startBelow >= 0 && startBelow <= stopAbove && stopAbove <= 1)) {
            throw new IllegalArgumentException(
                    "shares of memory must be 0 to 1, the first at most the second: " + startBelow + ", " + stopAbove);
        }
        if (!(stalledPercent > 0)) {
            throw new IllegalArgumentException("the percentage of time stalled must be above 0: " + stalledPercent);
        }
        this.coreShare = coreShare;
        this.startBelow = startBelow;
        this.stopAbove = stopAbove;
        this.stalledPercent = stalledPercent;
    }

    Decision decide(Observation now) {
        boolean hasMemory =
                now.memoryAvailable().isPresent() && now.memoryTotal().orElse(0) > 0;
        double available = hasMemory
                ? (double) now.memoryAvailable().getAsLong() / now.memoryTotal().getAsLong()
                : 1;
        double stalled = now.stalledPercent().orElse(0);
        boolean isShort = merging == null
                ? available < startBelow || stalled >= stalledPercent
                : (hasMemory && available <= stopAbove) || stalled >= stalledPercent / 2;
        String found = (hasMemory ? percent(available * 100) + " of memory available" : "available memory unknown")
                + (now.stalledPercent().isPresent() ? ", stalled " + percent(stalled) + " of the time" : "");
        if (!isShort) {
            merging = null;
            return new Decision(KsmSettings.EMPTY.with(KsmSetting.RUN, 0), PAUSE, "memory is not short: " + found);
        }
        if (merging == null) {
            merging = new ConvergePolicy(coreShare);
        }
        Decision decision = merging.decide(now);
        return decision.because("memory is short: " + found + "; " + decision.reason());
    }

    private static String percent(double value) {
        return String.format(Locale.ROOT, "%.1f %%", value);
    }
}
