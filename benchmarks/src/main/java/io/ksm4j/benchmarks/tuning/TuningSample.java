// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import java.util.Locale;

/**
 * The measurements at one moment of a run.
 *
 * @param driver the label of the driver of {@code ksmd}
 * @param round the number of the round, from 1
 * @param seconds the seconds since the memory was marked
 * @param saved the pages saved since then, as a share of the savable pages
 * @param ksmdSeconds the CPU time of {@code ksmd} since then
 * @param tunerSeconds the CPU time of the tuner's thread since then; 0 without a tuner
 */
record TuningSample(String driver, int round, double seconds, double saved, double ksmdSeconds, double tunerSeconds) {

    TuningSample {
        if (driver.contains(",")) {
            throw new IllegalArgumentException("the label must not contain a comma, which separates fields: " + driver);
        }
    }

    static final String HEADER = "driver,round,seconds,saved,ksmd_seconds,tuner_seconds";

    String csv() {
        return String.format(
                Locale.ROOT, "%s,%d,%.3f,%.4f,%.4f,%.4f", driver, round, seconds, saved, ksmdSeconds, tunerSeconds);
    }

    static TuningSample parse(String line) {
        String[] fields = line.split(",", -1);
        return new TuningSample(
                fields[0],
                Integer.parseInt(fields[1]),
                Double.parseDouble(fields[2]),
                Double.parseDouble(fields[3]),
                Double.parseDouble(fields[4]),
                Double.parseDouble(fields[5]));
    }
}
