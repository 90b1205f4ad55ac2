package io.ksm4j.benchmarks;

import java.util.Arrays;

/** Of measured values. */
final class Median {

    private Median() {}

    /** Of an even number the mean of the two in the middle; NaN of none. */
    static double of(double... values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        if (sorted.length == 0) {
            return Double.NaN;
        }
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
