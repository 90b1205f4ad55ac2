// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.benchmarks.Target;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Checks that the benchmark works. The numbers of such short runs are meaningless. */
class CacheBenchmarkTest {

    private static final CacheCase ONE = new CacheCase("SET", 4 << 10, 1, 1);
    private static final CacheCase OTHER = new CacheCase("GET", 4 << 10, 50, 16);

    @Tag("long")
    @Test
    @EnabledIfKsm(control = true)
    void measuresThroughputAndMemory(RunningKsmd ksmd, @TempDir Path directory) throws Exception {
        Assumptions.assumeTrue(CacheBenchmark.missing().isEmpty(), CacheBenchmark::missing);
        CacheBenchmark cache = new CacheBenchmark(directory, 0.01);
        Map<CacheCase, List<CacheReport.Round>> rounds = cache.throughput(List.of(ONE, OTHER), 2);
        assertThat(rounds).containsOnlyKeys(ONE, OTHER);
        assertThat(rounds.values())
                .allSatisfy(each -> assertThat(each)
                        .hasSize(2)
                        .allMatch(round -> round.redis() > 0 && round.off() > 0 && round.on() > 0));
        CacheReport report = cache.withMemory(rounds, 1_000, 50);
        assertThat(report.one().values()).isBetween(7e6, 9e6);
        assertThat(report.eight().values()).isBetween(7e6, 12e6);
        assertThat(report.one().process()).isGreaterThan(report.one().values());
        assertThat(report.eight().process()).isGreaterThan(report.eight().values());
    }

    @Test
    void reportComparesMediansOfRounds() {
        CacheReport report = new CacheReport(
                Map.of(
                        ONE,
                        List.of(
                                new CacheReport.Round(100, 100, 80),
                                new CacheReport.Round(200, 100, 98),
                                new CacheReport.Round(100, 100, 99))),
                new CacheReport.Memory(100, 200),
                new CacheReport.Memory(110, 230));
        assertThat(report.targets())
                .map(Target::toString)
                .containsExactly(
                        "target cache.throughput-set-4k measured 0.8000 goal 0.9 missed",
                        "target cache.merging-cost measured 0.02000 goal 0.03 met",
                        "target cache.eight-tenants-memory measured 1.100 goal 1.1 met",
                        "target cache.eight-tenants-process-memory measured 1.150 goal 1.1 missed");
        assertThat(report.text())
                .contains("| SET 4 KiB, 1 client, 1 request at a time | 100 | 100 | 98 | 0.80 | 0.98 |");
    }

    @Test
    void targetWithoutMeasurementIsMissed() {
        assertThat(Target.minimum("none", Double.NaN, 1).isMet()).isFalse();
        assertThat(Target.maximum("none", Double.NaN, 1).isMet()).isFalse();
    }
}
