package io.ksm4j.benchmarks;

import java.util.Locale;

/**
 * A number that is to be at most a goal, or at least.
 *
 * @param measured NaN if the run did not get as far, which is missed
 * @param atLeast whether more is better
 */
record Target(String name, double measured, double goal, boolean atLeast) {

    static Target atMost(String name, double measured, double goal) {
        return new Target(name, measured, goal, false);
    }

    static Target atLeast(String name, double measured, double goal) {
        return new Target(name, measured, goal, true);
    }

    boolean isMet() {
        return atLeast ? measured >= goal : measured <= goal;
    }

    @Override
    public String toString() {
        return String.format(
                Locale.ROOT, "target %s measured %.4g goal %s %s", name, measured, goal, isMet() ? "met" : "missed");
    }
}
