// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Checks that the benchmark works. The numbers of such short runs are meaningless. */
@EnabledIfKsm(control = true)
class TuningBenchmarkTest {

    @ParameterizedTest
    @EnumSource(
            mode = EnumSource.Mode.EXCLUDE,
            // These differ from converge(1) only by a number, and take seconds to go idle.
            names = {"CONVERGE_HALF", "CONVERGE_FIFTH"})
    void eachDriverCanBeMeasured(TuningDriver driver) throws Exception {
        try (RunningKsmd lock = RunningKsmd.start()) {
            DataSet data = new DataSet(4L << 20, 4, 0);
            TuningRun run = new TuningBenchmark(lock).run(data, driver, 1, Duration.ofMillis(200), Duration.ZERO);
            assertThat(run.samples())
                    .isNotEmpty()
                    .isSortedAccordingTo((one, other) -> Double.compare(one.seconds(), other.seconds()))
                    .allSatisfy(sample -> assertThat(sample.driver()).isEqualTo(driver.label()))
                    // Calculated from the machine's counters, which other programs change as well.
                    .allSatisfy(sample -> assertThat(sample.saved()).isFinite())
                    .allSatisfy(sample -> assertThat(sample.ksmdSeconds()).isNotNegative());
        }
    }
}
