// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import static io.ksm4j.benchmarks.tuning.TuningDriver.CONVERGE;
import static io.ksm4j.benchmarks.tuning.TuningDriver.DEFAULT;
import static io.ksm4j.benchmarks.tuning.TuningDriver.FULL_TILT;

import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.PerformancePart;
import io.ksm4j.benchmarks.RunLength;
import io.ksm4j.junit.RunningKsmd;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;

/**
 * Measures how long it takes to merge everything that can be merged, for different data and different drivers of
 * {@code ksmd}.
 */
public final class ConvergenceBenchmark implements PerformancePart {

    /** The slow drivers with their observed seconds per GiB, which decide whether a run is worth starting. */
    private static final Map<TuningDriver, Double> SLOW = Map.of(
            TuningDriver.KSMTUNED_MAX,
            8.4,
            TuningDriver.KSMTUNED,
            29.0,
            // Makes every scan take the same time, whatever the size.
            TuningDriver.ADVISOR,
            Double.POSITIVE_INFINITY,
            DEFAULT,
            126.0);

    private static final double MAX_SECONDS = 200;
    private static final Duration ADVISOR_SHORT = Duration.ofSeconds(30);

    /** The limit for the two fast drivers. */
    private static final Duration TIMEOUT = Duration.ofMinutes(5);

    /** How long a run goes on after merging. The last ten seconds are evaluated. */
    private static final long IDLE_MILLIS = 14_000;

    private static final long MIB = 1 << 20;

    private static final long SMALLEST = 256 * MIB;
    private static final int COPIES = 4;

    private final List<ConvergenceRow> rows = new ArrayList<>();

    @Override
    public PartReport measure(RunLength length) throws Exception {
        DataSet reference = new DataSet(MIB * length.of(4, 512, 1024), COPIES, 0);
        Duration limit = Duration.ofMillis(length.of(300L, 80_000L, 500_000L));
        try (RunningKsmd lock = RunningKsmd.start()) {
            TuningBenchmark tuning = new TuningBenchmark(lock);
            // The first calls of a JVM load classes, which would otherwise be measured as time of full tilt.
            tuning.run(new DataSet(MIB, 2, 0), CONVERGE, 0, TIMEOUT, Duration.ZERO);
            tuning.run(new DataSet(MIB, 2, 0), FULL_TILT, 0, TIMEOUT, Duration.ZERO);
            for (DataSet data : dataSets(length, reference)) {
                boolean isReference = data.equals(reference);
                boolean isOfAllSizes = length == RunLength.LONG && data.copies() == COPIES;
                boolean isSmall = data.size() <= reference.size();
                int rounds = isReference ? length.of(1, 5, 5) : isSmall ? length.of(1, 1, 3) : 1;
                // More than a KsmTuner needs to go idle.
                long rest = length.of(200L, IDLE_MILLIS, IDLE_MILLIS + 4 * data.size() / MIB);
                measureFastDrivers(
                        tuning, data, rounds, isReference || isOfAllSizes ? Duration.ofMillis(rest) : Duration.ZERO);
                boolean hasSlow = isOfAllSizes || (length == RunLength.LONG && data.size() == SMALLEST);
                for (TuningDriver driver : TuningDriver.values()) {
                    double needed = SLOW.getOrDefault(driver, Double.POSITIVE_INFINITY) * data.gib();
                    if (isReference ? SLOW.containsKey(driver) : hasSlow && needed <= MAX_SECONDS) {
                        long after = driver == DEFAULT ? length.of(200L, IDLE_MILLIS, IDLE_MILLIS) : 0;
                        // The advisor merges nothing for minutes; half a minute is enough to show that.
                        Duration runLimit =
                                driver == TuningDriver.ADVISOR ? length.of(limit, ADVISOR_SHORT, limit) : limit;
                        TuningRun run = tuning.run(data, driver, 1, runLimit, Duration.ofMillis(after));
                        rows.add(new ConvergenceRow(
                                data, driver, tuning.savableMib(data), List.of(run), driver == DEFAULT));
                    }
                }
            }
        }
        return new ConvergenceReport(reference, limit, rows).report();
    }

    private static List<DataSet> dataSets(RunLength length, DataSet reference) {
        long size = reference.size();
        return switch (length) {
            case INSTANT -> List.of(reference, new DataSet(size, 2, 0.5));
            case SHORT ->
                List.of(
                        new DataSet(size / 2, COPIES, 0),
                        new DataSet(size, 2, 0),
                        reference,
                        new DataSet(size, COPIES, 0.5),
                        new DataSet(size, COPIES, 0.9),
                        new DataSet(size, 64, 0),
                        new DataSet(size * 4, COPIES, 0));
            case LONG ->
                Stream.of(SMALLEST, 1024 * MIB, 4096 * MIB, 8192 * MIB)
                        .flatMap(bytes -> Stream.of(2, 4, 16, 64)
                                .flatMap(copies -> DoubleStream.of(0, 0.5, 0.9)
                                        .mapToObj(unique -> new DataSet(bytes, copies, unique))))
                        .toList();
        };
    }

    /** Measures the two fast drivers in turn, because the other load on the machine changes from minute to minute. */
    private void measureFastDrivers(TuningBenchmark tuning, DataSet data, int rounds, Duration after) throws Exception {
        List<TuningRun> fullTilt = new ArrayList<>();
        List<TuningRun> converge = new ArrayList<>();
        for (int round = 1; round <= rounds; round++) {
            fullTilt.add(tuning.run(data, FULL_TILT, round, TIMEOUT, Duration.ZERO));
            converge.add(tuning.run(data, CONVERGE, round, TIMEOUT, round == 1 ? after : Duration.ZERO));
        }
        rows.add(new ConvergenceRow(data, FULL_TILT, tuning.savableMib(data), fullTilt, false));
        rows.add(new ConvergenceRow(data, CONVERGE, tuning.savableMib(data), converge, !after.isZero()));
    }
}
