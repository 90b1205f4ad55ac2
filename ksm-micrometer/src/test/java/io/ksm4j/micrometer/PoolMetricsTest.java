// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.micrometer;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.pool.Deduplication;
import io.ksm4j.pool.MergePool;
import io.micrometer.core.instrument.Tags;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** The meters of a pool show its statistics. */
class PoolMetricsTest {

    @Test
    void showTheStatisticsOfThePool() {
        Ksm ksm = Ksm.fallback();
        int page = (int) ksm.pageSize();
        PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        try (MergePool pool = MergePool.builder(ksm, 100L * page)
                .deduplication(Deduplication.ON_STORE)
                .build()) {
            new PoolMetrics(pool, Tags.of("pool", "prices")).bindTo(registry);
            pool.store(new byte[page + 1]);
            pool.store(new byte[page + 1]);
            pool.allocate(page).close();

            Map<String, Double> samples = registry.scrape()
                    .lines()
                    .filter(line -> !line.startsWith("#"))
                    .collect(Collectors.toMap(
                            line -> line.substring(0, line.indexOf(' ')),
                            line -> Double.valueOf(line.substring(line.indexOf(' ') + 1))));

            String tag = "{pool=\"prices\"}";
            assertThat(samples)
                    .containsOnly(
                            Map.entry("ksm_pool_capacity_bytes" + tag, 100.0 * page),
                            Map.entry("ksm_pool_used_bytes" + tag, 1.0 * page),
                            Map.entry("ksm_pool_logical_bytes" + tag, 4.0 * page),
                            Map.entry("ksm_pool_values_bytes" + tag, 2.0 * (page + 1)),
                            Map.entry("ksm_pool_retained_bytes" + tag, 1.0 * page),
                            Map.entry("ksm_pool_index_bytes" + tag, (double)
                                    pool.stats().indexBytes()),
                            Map.entry("ksm_pool_blocks" + tag, 2.0),
                            Map.entry("ksm_pool_shared_stores_pages_total" + tag, 3.0));
        }
    }
}
