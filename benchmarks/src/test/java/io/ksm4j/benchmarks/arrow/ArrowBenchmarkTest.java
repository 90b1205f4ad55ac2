// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.arrow;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Checks that the benchmark works. The times of such short runs are meaningless. */
@EnabledIfKsm(control = true)
class ArrowBenchmarkTest {

    @Test
    void measuresTimeAndMemory(RunningKsmd ksmd) throws Exception {
        ArrowBenchmark arrow = new ArrowBenchmark(ksmd);
        assertThat(arrow.time(List.of(64, 65536), 1, 1 << 20))
                .containsPattern("\\| 64 \\| [\\d.]+ \\| [\\d.]+ \\|\\n\\| 65536 \\| [\\d.]+ \\| [\\d.]+ \\|\\n");
        assertThat(arrow.memory(50_000))
                .containsPattern("target arrow.one-more-tenant-share measured \\S+ goal 0.03 met");
    }
}
