package io.ksm4j.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The benchmark runs; what it measures in an instant means nothing. */
@EnabledIfKsm(control = true)
class TuningTest {

    @ParameterizedTest
    @EnumSource(
            mode = EnumSource.Mode.EXCLUDE,
            // Differ from converge(1) by a number, and take seconds to come to rest.
            names = {"CONVERGE_HALF", "CONVERGE_FIFTH"})
    void eachDriverCanBeMeasured(TuningDriver driver) throws Exception {
        try (RunningKsmd lock = RunningKsmd.start()) {
            DataSet data = new DataSet(4L << 20, 4, 0);
            TuningRun run = new Tuning(lock).run(data, driver, 1, Duration.ofMillis(200), Duration.ZERO);
            assertThat(run.samples())
                    .isNotEmpty()
                    .isSortedAccordingTo((one, other) -> Double.compare(one.seconds(), other.seconds()))
                    .allSatisfy(sample -> assertThat(sample.driver()).isEqualTo(driver.label()))
                    // Of the machine's counters, which move with other programs as well.
                    .allSatisfy(sample -> assertThat(sample.saved()).isFinite())
                    .allSatisfy(sample -> assertThat(sample.ksmdSeconds()).isNotNegative());
        }
    }
}
