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
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Checks that the benchmark works. The numbers of such short runs are meaningless. */
class CacheBenchmarkTest {

    private static final CacheCase ONE = new CacheCase("SET", 4 << 10, 1, 1);
    private static final CacheCase OTHER = new CacheCase("GET", 4 << 10, 50, 16);

    private static void assumeRedis() {
        Assumptions.assumeTrue(CacheBenchmark.missing().isEmpty(), CacheBenchmark::missing);
    }

    @Tag("long")
    @Test
    @EnabledIfKsm(control = true)
    void measuresThroughput(RunningKsmd ksmd, @TempDir Path directory) throws Exception {
        assumeRedis();
        CacheCase increment = new CacheCase("INCR", 0, 50, 16);
        CacheCase many = new CacheCase("MSET", 64, 50, 16);
        Throughput measured = new ThroughputBenchmark(directory, 0.01).measure(List.of(ONE, OTHER, increment, many), 2);
        assertThat(measured.rounds()).containsOnlyKeys(ONE, OTHER, increment, many);
        assertThat(measured.rounds().values())
                .allSatisfy(each -> assertThat(each)
                        .hasSize(2)
                        .flatExtracting(Throughput.Round::redis, Throughput.Round::off, Throughput.Round::on)
                        .asInstanceOf(InstanceOfAssertFactories.list(Throughput.Run.class))
                        .allMatch(run -> run.rate() > 0 && run.latency() > 0));
    }

    @Tag("long")
    @Test
    @EnabledIfKsm(control = true)
    void measuresMemory(RunningKsmd ksmd, @TempDir Path directory) throws Exception {
        assumeRedis();
        List<Target> targets =
                new MemoryBenchmark(directory, 0.1, 1, 1).measure().targets();
        assertThat(targets).extracting(Target::name).hasSize(7).doesNotHaveDuplicates();
        assertThat(targets).allMatch(target -> target.measured() > 0);
        assertThat(targets.get(0).measured())
                .as("eight tenants share all values")
                .isBetween(0.99, 1.2);
    }

    @Tag("long")
    @Test
    @EnabledIfKsm(control = true)
    void measuresPauses(RunningKsmd ksmd, @TempDir Path directory) throws Exception {
        assumeRedis();
        assertThat(new PauseBenchmark(directory, 0.01).measure().targets())
                .hasSize(3)
                .allMatch(target -> target.measured() > 0);
    }

    private static Throughput.Run run(double rate, double latency) {
        return new Throughput.Run(rate, latency);
    }

    @Test
    void throughputIsComparedByMediansOfRounds() {
        ReportPart report = new Throughput(Map.of(
                        ONE,
                        List.of(
                                new Throughput.Round(run(100, 2), run(100, 2), run(80, 4)),
                                new Throughput.Round(run(200, 1), run(100, 1), run(98, 1)),
                                new Throughput.Round(run(100, 1), run(100, 1), run(99, 1.5)))))
                .report();
        assertThat(report.targets())
                .map(Target::toString)
                .containsExactly(
                        "target cache.throughput-set-4k measured 0.8000 goal 0.9 missed",
                        "target cache.latency-set-4k measured 1.500 goal 1.5 met",
                        "target cache.throughput-best measured 0.8000 goal 1.5 missed",
                        "target cache.sharing-cost measured 0.02000 goal 0.03 met",
                        "target cache.sharing-cost-worst measured 0.02000 goal 0.1 met");
        assertThat(report.text())
                .contains("| SET 4 KiB, 1 client, 1 request at a time | 100 | 100 | 98 | 0.80 | 0.98 | 1.50 |")
                .contains("    target cache.sharing-cost measured 0.02000 goal 0.03 met\n");
    }

    @Test
    void memoryIsCompared() {
        ReportPart report = MemoryBenchmark.report(
                new MemoryBenchmark.Memory(100, 200),
                new MemoryBenchmark.Memory(101, 230),
                0.995,
                List.of(new MemoryBenchmark.Growths(
                        64, new MemoryBenchmark.Growth(10, 110), new MemoryBenchmark.Growth(80, 200))));
        assertThat(report.targets())
                .map(Target::toString)
                .containsExactly(
                        "target cache.eight-tenants-memory measured 1.010 goal 1.02 met",
                        "target cache.eight-tenants-process-memory measured 1.150 goal 1.1 missed",
                        "target cache.eight-tenants-hits measured 0.9950 goal 0.99 met",
                        "target cache.memory-64 measured 1.200 goal 1.3 met");
    }

    @Test
    void casesHaveDatabasesOfTheirOwn() {
        assertThat(CacheCase.ALL).extracting(CacheCase::database).allMatch(database -> database < 16);
        assertThat(CacheCase.ALL.stream()
                        .map(each -> each.command() + each.valueBytes())
                        .distinct()
                        .count())
                .isEqualTo(CacheCase.ALL.stream()
                        .mapToInt(CacheCase::database)
                        .distinct()
                        .count());
        assertThat(CacheCase.ALL).extracting(CacheCase::name).doesNotHaveDuplicates();
    }

    @Test
    void targetWithoutMeasurementIsMissed() {
        assertThat(Target.minimum("none", Double.NaN, 1).isMet()).isFalse();
        assertThat(Target.maximum("none", Double.NaN, 1).isMet()).isFalse();
    }
}
