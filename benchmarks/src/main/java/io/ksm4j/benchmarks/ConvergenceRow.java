package io.ksm4j.benchmarks;

import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * What a driver did with a data set.
 *
 * @param savableMib what there is less once all is merged
 * @param runs an odd number of them
 * @param isWatched whether the first one went on once all was merged
 */
record ConvergenceRow(DataSet data, TuningDriver driver, double savableMib, List<TuningRun> runs, boolean isWatched) {

    ConvergenceRow {
        runs = List.copyOf(runs);
    }

    /** The run that is in the middle of them by its time. */
    TuningRun median() {
        return runs.stream()
                .sorted(Comparator.comparingDouble(
                        run -> run.merged().map(TuningSample::seconds).orElse(Double.POSITIVE_INFINITY)))
                .skip(runs.size() / 2)
                .findFirst()
                .orElseThrow();
    }

    /** Until all was merged; empty if it ended at its limit. */
    OptionalDouble seconds() {
        return median().merged().stream().mapToDouble(TuningSample::seconds).findFirst();
    }

    /** Until all was merged, or the run ended. */
    double atLeast() {
        return median().mergedOrLast().seconds();
    }

    double savedMib() {
        return median().last().saved() * savableMib;
    }

    /** The run that went on once all was merged. */
    Optional<TuningRun> watched() {
        return isWatched && runs.get(0).merged().isPresent() ? Optional.of(runs.get(0)) : Optional.empty();
    }
}
