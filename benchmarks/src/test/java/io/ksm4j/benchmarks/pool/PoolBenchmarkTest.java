// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.pool;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Checks that the benchmark works. The numbers of such short runs are meaningless. */
@EnabledIfKsm(control = true)
class PoolBenchmarkTest {

    @Test
    void measuresTimeAndMemory() throws Exception {
        try (RunningKsmd ksmd = RunningKsmd.start()) {
            PoolBenchmark pool = new PoolBenchmark(ksmd);
            assertThat(pool.time(1, 10)).containsPattern("target pool.allocate-and-free-us measured \\S+ goal 2.0 ");
            assertThat(pool.sharing(1, 64))
                    .contains("| store what is there already, and close it | ")
                    .containsPattern("target pool.store-present-4k-cold-us measured \\S+ goal 3.0 ")
                    .containsPattern("target pool.eight-tenants-to-one measured 1.000 goal 1.02 met");
            assertThat(pool.memory(List.of(65536), List.of(1, 4)))
                    .containsPattern("(?m)^\\| 65536 \\| 1.00 \\| 1.0\\d \\| 0.2\\d \\|$");
        }
    }
}
