// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.ksm4j.benchmarks.Target;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TuningReportTest {

    private static final Path ROOT = Path.of("..");

    private final List<TuningSample> samples = new ArrayList<>();

    private void run(TuningDriver driver, int round, double merged, double cpuUntil, double idleShare) {
        samples.add(new TuningSample(driver.label(), round, merged / 2, 0.5, cpuUntil / 2, 0));
        samples.add(new TuningSample(driver.label(), round, merged, 0.99, cpuUntil, 0));
        samples.add(new TuningSample(driver.label(), round, merged + 60, 1, cpuUntil + 1, 0));
        samples.add(new TuningSample(driver.label(), round, merged + 70, 1, cpuUntil + 1 + 10 * idleShare, 0));
    }

    @Test
    void pageMatchesTheData() throws IOException {
        TuningReport report = TuningReport.read(ROOT);
        assertThat(ROOT.resolve("docs/tuning.md")).hasContent(report.page(ROOT));
        assertThat(ROOT.resolve("docs/tuning.svg")).hasContent(report.svg());
        assertThat(report.samples().stream().map(TuningSample::driver).distinct())
                .hasSameSizeAs(TuningDriver.values());
    }

    @Test
    void targetsAreMediansSharesAndDifferences() {
        for (int round = 1; round <= 3; round++) {
            run(TuningDriver.FULL_TILT, round, 2 * round, 2 * round, 1);
            run(TuningDriver.CONVERGE, round, 5, 5, 0.007);
        }
        run(TuningDriver.CONVERGE_HALF, 1, 4, 2.1, 0.01);
        List<Target> targets = new TuningReport("a machine", samples).targets();
        assertThat(targets.get(0).measured()).isCloseTo(5.0 / 4, within(1e-9));
        assertThat(targets.get(0)).hasToString("target tuning.converge-to-full-tilt measured 1.250 goal 1.15 missed");
        assertThat(targets.get(1).measured()).isCloseTo(0.007, within(1e-9));
        assertThat(targets.get(2).measured()).isCloseTo(0.05, within(1e-9));
        assertThat(targets.get(2).isMet()).isTrue();
        assertThat(targets.get(3).isMet()).as("not measured").isFalse();
    }

    @Test
    void samplesCanBeWrittenAndRead() {
        TuningSample sample = new TuningSample("converge(1)", 2, 1.234, 0.5, 0.25, 0.125);
        assertThat(TuningSample.parse(sample.csv())).isEqualTo(sample);
    }

    @Test
    void pageWithoutMarkersIsNotWritten(@TempDir Path root) throws IOException {
        Path page = Files.createDirectories(root.resolve("docs")).resolve("tuning.md");
        Files.writeString(page, "no markers");
        for (TuningDriver driver : TuningDriver.values()) {
            run(driver, 1, 1, 1, 1);
        }
        TuningReport report = new TuningReport("a machine", samples);
        assertThatThrownBy(() -> report.write(root))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("tuning.md");
        assertThat(page).hasContent("no markers");
        assertThat(root.resolve("docs/data/tuning.csv"))
                .as("the measurements are kept")
                .content()
                .hasLineCount(2 + samples.size());
    }
}
