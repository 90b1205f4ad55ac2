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

/** Requests per second of three servers, by case and round. */
record Throughput(Map<CacheCase, List<Round>> rounds) {

    /** Requests per second of the three servers: Redis, and the cache server with sharing off and on. */
    record Round(double redis, double off, double on) {}

    private double median(CacheCase which, ToDoubleFunction<Round> number) {
        return Median.of(rounds.get(which).stream().mapToDouble(number).toArray());
    }

    private double onToOff(CacheCase which) {
        return median(which, round -> round.on / round.off);
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
                | Requests per second | Redis | cache server, sharing off | sharing on | on / Redis | on / off |
                | --- | --- | --- | --- | --- | --- |
                """);
        List<Target> targets = new ArrayList<>();
        for (CacheCase which : rounds.keySet()) {
            double onToRedis = median(which, round -> round.on / round.redis);
            table.append(String.format(
                    Locale.ROOT,
                    "| %s | %.0f | %.0f | %.0f | %.2f | %.2f |%n",
                    which.label(),
                    median(which, Round::redis),
                    median(which, Round::off),
                    median(which, Round::on),
                    onToRedis,
                    onToOff(which)));
            targets.add(Target.minimum("cache.throughput-" + which.name(), onToRedis, which.goal()));
        }
        double best = rounds.keySet().stream()
                .mapToDouble(which -> median(which, round -> round.on / round.redis))
                .max()
                .orElse(Double.NaN);
        double worst = rounds.keySet().stream().mapToDouble(this::onToOff).min().orElse(Double.NaN);
        targets.add(Target.minimum("cache.throughput-best", best, 1.5));
        targets.add(Target.maximum("cache.sharing-cost", sharingCost(), 0.03));
        targets.add(Target.maximum("cache.sharing-cost-worst", 1 - worst, 0.1));
        return new ReportPart(table.toString(), targets);
    }
}
