// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks;

import java.util.Locale;

/**
 * A measured number and its goal.
 *
 * @param measured NaN if the run did not get that far; the target is then missed
 * @param isMinimum whether the goal is a minimum; otherwise it is a maximum
 */
public record Target(String name, double measured, double goal, boolean isMinimum) {

    public static Target maximum(String name, double measured, double goal) {
        return new Target(name, measured, goal, false);
    }

    public static Target minimum(String name, double measured, double goal) {
        return new Target(name, measured, goal, true);
    }

    public boolean isMet() {
        return isMinimum ? measured >= goal : measured <= goal;
    }

    @Override
    public String toString() {
        return String.format(
                Locale.ROOT, "target %s measured %.4g goal %s %s", name, measured, goal, isMet() ? "met" : "missed");
    }
}
