// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import io.ksm4j.benchmarks.Median;
import io.ksm4j.benchmarks.Target;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** Requests per second and latencies of three servers, by case and round. */
record Throughput(Map<CacheCase, List<Round>> rounds) {

    /**
     * One run of {@code redis-benchmark}.
     *
     * @param rate requests per second
     * @param latency the milliseconds within which 99 % of the requests were answered
     */
    record Run(double rate, double latency) {

        static final Run NONE = new Run(Double.NaN, Double.NaN);
    }

    /** The three servers: Redis, and the cache server with sharing off and on. */
    record Round(Run redis, Run off, Run on) {}

    private double median(CacheCase which, ToDoubleFunction<Round> number) {
        return Median.of(rounds.get(which).stream().mapToDouble(number).toArray());
    }

    private double onToOff(CacheCase which) {
        return median(which, round -> round.on.rate / round.off.rate);
    }

    /** Returns the share of throughput lost to sharing: the geometric mean over all cases. */
    private double sharingCost() {
        double logarithms = rounds.keySet().stream()
                .mapToDouble(which -> Math.log(onToOff(which)))
                .average()
                .orElse(Double.NaN);
        return 1 - Math.exp(logarithms);
    }

    ReportPart report() {
        StringBuilder table = new StringBuilder("""
                | Requests per second | Redis | cache server, sharing off | sharing on | on / Redis | on / off \
                | p99, on / Redis |
                | --- | --- | --- | --- | --- | --- | --- |
                """);
        List<Target> rates = new ArrayList<>();
        List<Target> latencies = new ArrayList<>();
        for (CacheCase which : rounds.keySet()) {
            double rate = median(which, round -> round.on.rate / round.redis.rate);
            double latency = median(which, round -> round.on.latency / round.redis.latency);
            table.append(String.format(
                    Locale.ROOT,
                    "| %s | %.0f | %.0f | %.0f | %.2f | %.2f | %.2f |%n",
                    which.label(),
                    median(which, round -> round.redis.rate),
                    median(which, round -> round.off.rate),
                    median(which, round -> round.on.rate),
                    rate,
                    onToOff(which),
                    latency));
            rates.add(Target.minimum("cache.throughput-" + which.name(), rate, 0.9));
            latencies.add(Target.maximum("cache.latency-" + which.name(), latency, 1.5));
        }
        double best = rates.stream().mapToDouble(Target::measured).max().orElse(Double.NaN);
        double worst = rounds.keySet().stream().mapToDouble(this::onToOff).min().orElse(Double.NaN);
        List<Target> targets = new ArrayList<>(rates);
        targets.addAll(latencies);
        targets.add(Target.minimum("cache.throughput-best", best, 1.5));
        targets.add(Target.maximum("cache.sharing-cost", sharingCost(), 0.03));
        targets.add(Target.maximum("cache.sharing-cost-worst", 1 - worst, 0.1));
        return new ReportPart(table.toString(), targets);
    }
}
