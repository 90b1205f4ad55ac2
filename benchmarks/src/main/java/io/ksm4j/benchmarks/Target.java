package io.ksm4j.benchmarks;

import java.util.Locale;

/**
 * A number that is to be at most a goal.
 *
 * @param measured NaN if the run did not get as far, which is missed
 */
record Target(String name, double measured, double goal) {

    boolean isMet() {
        return measured <= goal;
    }

    @Override
    public String toString() {
        return String.format(
                Locale.ROOT, "target %s measured %.4g goal %s %s", name, measured, goal, isMet() ? "met" : "missed");
    }
}
