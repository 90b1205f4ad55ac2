// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * How much the machine disturbed a benchmark, as measured by {@link DisturbanceMeter}.
 *
 * @param steal the share of the CPUs' time that the hypervisor gave to other virtual machines
 * @param others the share of the CPUs' time that other processes used
 * @param variation the ninth decile of the times that a loop took, divided by the first
 */
public record Disturbance(double steal, double others, double variation) {

    static final double MAX_STEAL = 0.01;
    static final double MAX_OTHERS = 0.02;
    static final double MAX_VARIATION = 1.25;

    /** Returns a sentence for the page, without the full stop. */
    public String describe() {
        return String.format(
                Locale.ROOT,
                "Disturbance: steal %.1f %%, other processes %.1f %%; a loop's slowest tenth took %.2f times as long as"
                        + " its fastest",
                steal * 100,
                others * 100,
                variation);
    }

    /** Returns why a page must not be written and what to do, or an empty string. */
    public String objection(Path page) {
        List<String> reasons = new ArrayList<>();
        if (steal > MAX_STEAL) {
            reasons.add(
                    percent("the hypervisor gave %.1f %% of the CPUs to others (maximum: %.0f %%)", steal, MAX_STEAL));
        }
        if (others > MAX_OTHERS) {
            reasons.add(percent("other processes used %.1f %% of the CPUs (maximum: %.0f %%)", others, MAX_OTHERS));
        }
        if (variation > MAX_VARIATION) {
            reasons.add(String.format(
                    Locale.ROOT,
                    "a loop's slowest tenth took %.2f times as long as its fastest (maximum: %.2f)",
                    variation,
                    MAX_VARIATION));
        }
        return reasons.isEmpty()
                ? ""
                : page + " is not updated, because the run was disturbed: " + String.join("; ", reasons)
                        + ". Stop other programs, or wait until the machine is idle, and measure again.";
    }

    private static String percent(String format, double share, double maximum) {
        return String.format(Locale.ROOT, format, share * 100, maximum * 100);
    }
}
