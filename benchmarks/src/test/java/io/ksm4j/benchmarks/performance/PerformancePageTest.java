// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.performance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.benchmarks.Disturbance;
import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.plot.Plot;
import io.ksm4j.plot.Plot.Axis;
import io.ksm4j.plot.Plot.Panel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PerformancePageTest {

    private static final Path PAGE = Path.of("docs", "performance.md");
    private static final Path REPOSITORY = Path.of("..");

    private static final Disturbance QUIET = new Disturbance(0, 0, 1);

    @TempDir
    Path root;

    @BeforeEach
    void copyThePage() throws IOException {
        Files.createDirectory(root.resolve("docs"));
        Files.copy(REPOSITORY.resolve(PAGE), root.resolve(PAGE));
    }

    @ParameterizedTest
    @ValueSource(strings = {"calls", "registry", "convergence", "kernel", "startup", "stats", "heap"})
    void eachPartHasASectionThatNamesTheMachine(String part) throws IOException {
        new PerformancePage(root)
                .write(part, "./benchmarks/run", QUIET, new PartReport("Made up.", Map.of(), List.of()));
        assertThat(Files.readString(root.resolve(PAGE)))
                .containsPattern("short\\|long " + part
                        + " -->\n\nMeasured on Linux .*, JDK .*,\nby `./benchmarks/run`\\.\nDisturbance: .*\\.\n\n"
                        + "Made up\\.\n");
    }

    @Test
    void summarizesTheTargetsOfAllParts() throws IOException {
        PerformancePage page = new PerformancePage(root);
        for (String part : List.of("calls", "registry", "convergence", "kernel", "startup", "stats", "heap")) {
            page.write(part, "test", QUIET, new PartReport("", Map.of(), List.of()));
        }
        page.write("calls", "test", QUIET, new PartReport("", Map.of(), List.of(Target.maximum("one", 1, 2))));
        page.write(
                "heap",
                "test",
                QUIET,
                new PartReport(
                        "", Map.of(), List.of(Target.maximum("two", Double.NaN, 2), Target.minimum("three", 3, 2))));
        assertThat(Files.readString(root.resolve(PAGE)))
                .contains("-->\n\n2 of 3 targets are met. These are missed:\n\n- `two` measured NaN goal 2.0\n");
        assertThat(page.summary()).as("must not count itself").startsWith("2 of 3 ");
    }

    @Test
    void disturbedRunIsPrintedOnly() throws IOException {
        String before = Files.readString(root.resolve(PAGE));
        PartReport report = new PartReport("Made up.", Map.of(), List.of(Target.maximum("one", 1, 2)));
        assertThat(Performance.publish(root, "calls", "test", new Disturbance(0, 0.5, 1), report))
                .as("exit status")
                .isEqualTo(1);
        assertThat(root.resolve(PAGE)).hasContent(before);
        assertThat(Performance.publish(root, "calls", "test", QUIET, report)).isZero();
        assertThat(Files.readString(root.resolve(PAGE))).contains("\nDisturbance: steal 0.0 %, ", "\n\nMade up.\n");
    }

    @Test
    void pageInTheRepositoryHasTheSummaryOfItsTargets() throws IOException {
        assertThat(Files.readString(REPOSITORY.resolve(PAGE))).contains(new PerformancePage(REPOSITORY).summary());
    }

    @Test
    void plotsAreWrittenToTheDirectoryOfThePage() throws IOException {
        Plot plot = new Plot(
                "Made up", new Axis("x", 0, 1, false), List.of(new Panel(new Axis("y", 0, 1, false), List.of())));
        PartReport report = new PartReport("![Made up](performance-made-up.svg)", Map.of("made-up", plot), List.of());
        new PerformancePage(root).write("calls", "test", QUIET, report);
        assertThat(root.resolve("docs/performance-made-up.svg")).hasContent(plot.svg());
        assertThatThrownBy(() -> new PartReport("", Map.of("made-up", plot), List.of()))
                .hasMessageContaining("performance-made-up.svg");
    }
}
