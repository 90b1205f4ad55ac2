// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import io.ksm4j.benchmarks.Target;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;

/**
 * The results of {@link CacheBenchmark} as shown in the documentation.
 *
 * @param rounds the rounds of each case
 * @param one memory with one tenant
 * @param eight memory with eight tenants
 */
record CacheReport(Map<CacheCase, List<Round>> rounds, Memory one, Memory eight) {

    /** Requests per second of the three servers: Redis, and the cache server with merging off and on. */
    record Round(double redis, double off, double on) {}

    /**
     * The memory of a server in bytes. Merged pages count once.
     *
     * @param values the pages of its pool
     * @param process the whole process
     */
    record Memory(double values, double process) {}

    private double median(CacheCase which, ToDoubleFunction<Round> number) {
        double[] sorted =
                rounds.get(which).stream().mapToDouble(number).sorted().toArray();
        return sorted.length == 0 ? Double.NaN : sorted[sorted.length / 2];
    }

    /** Returns the share of throughput lost to merging: the geometric mean over all cases. */
    private double mergingCost() {
        double logarithms = rounds.keySet().stream()
                .mapToDouble(which -> Math.log(median(which, round -> round.on / round.off)))
                .average()
                .orElse(Double.NaN);
        return 1 - Math.exp(logarithms);
    }

    List<Target> targets() {
        List<Target> targets = new ArrayList<>();
        for (CacheCase which : rounds.keySet()) {
            targets.add(Target.minimum(
                    "cache.throughput-" + which.name(), median(which, round -> round.on / round.redis), 0.9));
        }
        targets.add(Target.maximum("cache.merging-cost", mergingCost(), 0.03));
        targets.add(Target.maximum("cache.eight-tenants-memory", eight.values / one.values, 1.1));
        targets.add(Target.maximum("cache.eight-tenants-process-memory", eight.process / one.process, 1.1));
        return targets;
    }

    String text() {
        StringBuilder text = new StringBuilder("""
                | Requests per second | Redis | cache server, merging off | merging on | on / Redis | on / off |
                | --- | --- | --- | --- | --- | --- |
                """);
        for (CacheCase which : rounds.keySet()) {
            text.append(String.format(
                    Locale.ROOT,
                    "| %s | %.0f | %.0f | %.0f | %.2f | %.2f |%n",
                    which.label(),
                    median(which, Round::redis),
                    median(which, Round::off),
                    median(which, Round::on),
                    median(which, round -> round.on / round.redis),
                    median(which, round -> round.on / round.off)));
        }
        text.append(String.format(
                Locale.ROOT,
                """

                | Memory, merged pages counted once | one tenant | eight tenants with the same data |
                | --- | --- | --- |
                | values | %.1f MiB | %.1f MiB |
                | whole process | %.1f MiB | %.1f MiB |

                """,
                mebibytes(one.values),
                mebibytes(eight.values),
                mebibytes(one.process),
                mebibytes(eight.process)));
        return text + targets().stream().map(target -> "    " + target + "\n").collect(Collectors.joining());
    }

    private static double mebibytes(double bytes) {
        return bytes / (1 << 20);
    }
}
