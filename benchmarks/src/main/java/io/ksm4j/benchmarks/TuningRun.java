package io.ksm4j.benchmarks;

import java.util.List;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/**
 * What there was in one run.
 *
 * @param samples the first one first; at least one
 */
record TuningRun(List<TuningSample> samples) {

    /** Merged, as the targets have it: this share of what can be saved. */
    static final double ALL = 0.99;

    /** The time over which an idle {@code ksmd} is watched. */
    private static final double AT_THE_END = 10;

    TuningRun {
        samples = List.copyOf(samples);
    }

    TuningSample last() {
        return samples.get(samples.size() - 1);
    }

    Optional<TuningSample> merged() {
        return samples.stream().filter(sample -> sample.saved() >= ALL).findFirst();
    }

    /** The end of the run, if it came first. */
    TuningSample mergedOrLast() {
        return merged().orElseGet(this::last);
    }

    /** The share of a core in the last ten seconds. */
    double ksmdAtTheEnd() {
        return share(late(), last(), TuningSample::ksmdSeconds);
    }

    /** The share of a core in the last ten seconds. */
    double tunerAtTheEnd() {
        return share(late(), last(), TuningSample::tunerSeconds);
    }

    private TuningSample late() {
        double last = last().seconds();
        return samples.stream()
                .filter(sample -> sample.seconds() <= last - AT_THE_END)
                .reduce((first, second) -> second)
                .orElse(samples.get(0));
    }

    static double share(TuningSample from, TuningSample to, ToDoubleFunction<TuningSample> time) {
        return (time.applyAsDouble(to) - time.applyAsDouble(from)) / (to.seconds() - from.seconds());
    }
}
