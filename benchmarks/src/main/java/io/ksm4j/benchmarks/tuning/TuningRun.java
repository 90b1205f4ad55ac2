// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.ToDoubleFunction;

/**
 * The samples of one run.
 *
 * @param samples in the order of time; at least one
 */
record TuningRun(List<TuningSample> samples) {

    /** The share of savable pages that counts as everything merged. */
    static final double MERGED_SHARE = 0.99;

    /** The seconds at the end of a run over which an idle {@code ksmd} is measured. */
    private static final double IDLE_SECONDS = 10;

    /** {@code ksmd} is at rest if it uses no more than this share of a core. */
    private static final double MAX_IDLE_SHARE = 0.02;

    TuningRun {
        samples = List.copyOf(samples);
    }

    TuningSample last() {
        return samples.get(samples.size() - 1);
    }

    Optional<TuningSample> merged() {
        return samples.stream().filter(sample -> sample.saved() >= MERGED_SHARE).findFirst();
    }

    /** Returns the sample at which everything was merged, or the last one if that was never reached. */
    TuningSample mergedOrLast() {
        return merged().orElseGet(this::last);
    }

    /**
     * Returns how many seconds {@code ksmd} went on after everything was merged, before it only scanned slowly until
     * the end; empty if it did not for ten seconds.
     */
    OptionalDouble secondsToRest() {
        return merged().stream()
                .flatMap(merged -> samples.stream()
                        .filter(sample -> sample.seconds() >= merged.seconds())
                        .filter(sample -> sample.seconds() <= last().seconds() - IDLE_SECONDS)
                        .filter(sample -> share(sample, last(), TuningSample::ksmdSeconds) <= MAX_IDLE_SHARE)
                        .limit(1)
                        .map(sample -> sample.seconds() - merged.seconds()))
                .mapToDouble(Double::doubleValue)
                .findFirst();
    }

    /**
     * Returns the same; infinity if {@code ksmd} did not come to rest, and the time that was left if that was too short
     * to see ten seconds of rest, as in a test.
     */
    double secondsToRestOrLeft() {
        double left = last().seconds() - mergedOrLast().seconds();
        return secondsToRest().orElse(left < IDLE_SECONDS ? left : Double.POSITIVE_INFINITY);
    }

    /** Returns the share of a core that {@code ksmd} used in the last ten seconds. */
    double idleKsmdShare() {
        return share(idleStart(), last(), TuningSample::ksmdSeconds);
    }

    /** Returns the share of a core that the tuner used in the last ten seconds. */
    double idleTunerShare() {
        return share(idleStart(), last(), TuningSample::tunerSeconds);
    }

    private TuningSample idleStart() {
        double last = last().seconds();
        return samples.stream()
                .filter(sample -> sample.seconds() <= last - IDLE_SECONDS)
                .reduce((first, second) -> second)
                .orElse(samples.get(0));
    }

    static double share(TuningSample from, TuningSample to, ToDoubleFunction<TuningSample> time) {
        return (time.applyAsDouble(to) - time.applyAsDouble(from)) / (to.seconds() - from.seconds());
    }
}
