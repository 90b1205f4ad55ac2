package io.ksm4j.benchmarks;

import java.util.Locale;

/**
 * What there was at one moment of one run.
 *
 * @param driver what drove {@code ksmd}
 * @param round counted from 1
 * @param seconds since the memory was marked
 * @param saved pages saved since then, as a share of what can be
 * @param ksmdSeconds CPU time that {@code ksmd} took since then
 * @param tunerSeconds CPU time that the tuner's thread took since then; 0 without one
 */
record TuningSample(String driver, int round, double seconds, double saved, double ksmdSeconds, double tunerSeconds) {

    TuningSample {
        if (driver.contains(",")) {
            throw new IllegalArgumentException("a comma ends a field of the file: " + driver);
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
