// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * The results of one driver with one data set.
 *
 * @param savableMib the MiB saved once everything is merged
 * @param runs an odd number of runs
 * @param isWatched whether the first run went on after everything was merged
 */
record ConvergenceRow(DataSet data, TuningDriver driver, double savableMib, List<TuningRun> runs, boolean isWatched) {

    ConvergenceRow {
        runs = List.copyOf(runs);
    }

    /** Returns the run with the median time. */
    TuningRun median() {
        return runs.stream()
                .sorted(Comparator.comparingDouble(
                        run -> run.merged().map(TuningSample::seconds).orElse(Double.POSITIVE_INFINITY)))
                .skip(runs.size() / 2)
                .findFirst()
                .orElseThrow();
    }

    /** Returns the seconds until everything was merged; empty if the run was stopped at its limit. */
    OptionalDouble seconds() {
        return median().merged().stream().mapToDouble(TuningSample::seconds).findFirst();
    }

    /** Returns the seconds until everything was merged or the run was stopped at its limit. */
    double secondsOrLimit() {
        return median().mergedOrLast().seconds();
    }

    double savedMib() {
        return median().last().saved() * savableMib;
    }

    /** Returns the run that went on after everything was merged. */
    Optional<TuningRun> watched() {
        return isWatched && runs.get(0).merged().isPresent() ? Optional.of(runs.get(0)) : Optional.empty();
    }
}
