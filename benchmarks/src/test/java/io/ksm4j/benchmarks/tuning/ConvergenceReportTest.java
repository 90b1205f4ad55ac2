// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.Target;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.DoubleStream;
import org.junit.jupiter.api.Test;

class ConvergenceReportTest {

    private static final DataSet SMALL = new DataSet(256L << 20, 4, 0);
    private static final DataSet LARGE = new DataSet(1L << 30, 4, 0);

    private final List<ConvergenceRow> rows = new ArrayList<>();

    /** A run in which ksmd uses half a core while it merges, and a hundredth of a core afterwards. */
    private static TuningRun merged(double seconds) {
        return new TuningRun(List.of(
                new TuningSample("made up", 1, seconds, 0.99, seconds / 2, 0),
                new TuningSample("made up", 1, seconds + 4, 1, seconds, 0),
                new TuningSample("made up", 1, seconds + 24, 1, seconds + 0.2, 0)));
    }

    private void merged(DataSet data, TuningDriver driver, double... seconds) {
        rows.add(new ConvergenceRow(
                data,
                driver,
                768,
                DoubleStream.of(seconds).mapToObj(ConvergenceReportTest::merged).toList(),
                true));
    }

    private void stopped(TuningDriver driver, double seconds) {
        TuningSample end = new TuningSample(driver.label(), 1, seconds, 0.25, 1, 0);
        rows.add(new ConvergenceRow(SMALL, driver, 768, List.of(new TuningRun(List.of(end))), false));
    }

    private PartReport report() {
        return new ConvergenceReport(SMALL, Duration.ofSeconds(80), rows).report();
    }

    @Test
    void targetsAreRatiosOfMediansOnTheReference() {
        merged(SMALL, TuningDriver.FULL_TILT, 3, 1, 2);
        merged(SMALL, TuningDriver.CONVERGE, 2.2, 9, 1);
        merged(SMALL, TuningDriver.KSMTUNED, 11);
        merged(SMALL, TuningDriver.KSMTUNED_MAX, 7);
        merged(SMALL, TuningDriver.DEFAULT, 99);
        merged(LARGE, TuningDriver.FULL_TILT, 1);
        merged(LARGE, TuningDriver.CONVERGE, 5);
        List<Target> targets = report().targets();
        assertThat(targets.get(0).measured()).isCloseTo(1.1, within(1e-9));
        assertThat(targets.get(1).measured()).isCloseTo(45, within(1e-9));
        assertThat(targets.get(2).measured()).isCloseTo(5, within(1e-9));
        assertThat(targets.get(3).measured()).isCloseTo(7 / 2.2, within(1e-9));
        assertThat(targets.get(4).measured()).isCloseTo(0.01, within(1e-9));
        assertThat(targets.get(5).measured()).as("of the worst data set").isCloseTo(5, within(1e-9));
        assertThat(targets.get(6).measured()).as("until ksmd is idle").isCloseTo(4, within(1e-9));
        assertThat(targets).extracting(Target::isMet).containsExactly(true, false, true, false, true, false, true);
        assertThat(report().text())
                .contains("| 0.25 | 4 | 0 % | converge(1) | 2.2 s | 1.10 | 1.10 s |  | 1.00 % |")
                .contains("1.10 to 5.00 times")
                .contains("be more than 3.50 times as fast as `ksmtuned` at maximum")
                .contains("it used 1.10 times the CPU time of full tilt")
                .contains("| 768 |");
    }

    @Test
    void stoppedSlowDriverCountsWithItsLimitAndIsMarked() {
        merged(SMALL, TuningDriver.FULL_TILT, 1);
        merged(SMALL, TuningDriver.CONVERGE, 1);
        merged(SMALL, TuningDriver.KSMTUNED, 5);
        merged(SMALL, TuningDriver.KSMTUNED_MAX, 5);
        stopped(TuningDriver.DEFAULT, 80);
        assertThat(report().text())
                .contains("| 0.25 | 4 | 0 % | default | > 80 s (25 %) | > 80 |")
                .contains("| 192 |");
        assertThat(report().targets().get(1).measured()).isCloseTo(80, within(1e-9));
    }

    @Test
    void stoppedTunerMissesAllTargets() {
        merged(SMALL, TuningDriver.FULL_TILT, 1);
        stopped(TuningDriver.CONVERGE, 80);
        stopped(TuningDriver.KSMTUNED, 80);
        stopped(TuningDriver.KSMTUNED_MAX, 80);
        stopped(TuningDriver.DEFAULT, 80);
        assertThat(report().targets()).hasSize(7).noneMatch(Target::isMet);
        assertThat(report().text()).doesNotContain("constant ", "NaN");
    }

    @Test
    void constantsAreSecondsPerGibOverAllSizesOfTheReference() {
        merged(SMALL, TuningDriver.FULL_TILT, 1);
        merged(SMALL, TuningDriver.CONVERGE, 1);
        merged(LARGE, TuningDriver.FULL_TILT, 4);
        merged(LARGE, TuningDriver.CONVERGE, 6);
        DataSet unique = new DataSet(1L << 30, 4, 0.5);
        merged(unique, TuningDriver.FULL_TILT, 8);
        merged(unique, TuningDriver.CONVERGE, 8);
        merged(SMALL, TuningDriver.KSMTUNED, 11);
        merged(SMALL, TuningDriver.KSMTUNED_MAX, 7);
        merged(SMALL, TuningDriver.DEFAULT, 99);
        // ksmd takes half a core until everything is merged: half a second for a quarter of a GiB, three seconds for
        // one GiB.
        assertThat(report().text())
                .contains("| 4 | 0 % | 0.25 to 1.00 | 2.00 to 3.00 | 1.00 % |")
                .contains("| 4 | 50 % | 1.00 | 4.00 | 1.00 % |")
                .endsWith("""

                            constant convergence-ksmd-seconds-a-gib 2.80
                            constant convergence-idle-core 0.0100
                        """);
    }

    @Test
    void plotsShowOnlyLinesWithTwoOrMorePoints() {
        for (DataSet data : List.of(SMALL, LARGE)) {
            merged(data, TuningDriver.FULL_TILT, data.gib());
            merged(data, TuningDriver.CONVERGE, data.gib());
        }
        merged(SMALL, TuningDriver.KSMTUNED, 11);
        merged(SMALL, TuningDriver.KSMTUNED_MAX, 7);
        merged(SMALL, TuningDriver.DEFAULT, 99);
        PartReport report = report();
        assertThat(report.plots().get("convergence-size").panels().get(0).lines())
                .extracting(line -> line.name() + " " + line.points().size())
                .containsExactly("full tilt 2", "converge(1) 2");
        assertThat(report.plots().get("convergence-copies").panels().get(0).lines())
                .isEmpty();
    }
}
