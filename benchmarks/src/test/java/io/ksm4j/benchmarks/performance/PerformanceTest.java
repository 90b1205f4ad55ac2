// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.performance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.ksm4j.benchmarks.CProgram;
import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.RunLength;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.junit.EnabledIfKsm;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

@Tag("long")
class PerformanceTest {

    private static final Set<String> COMPARED_WITH_C = Set.of("calls", "kernel", "stats");

    static Set<String> parts() {
        return Performance.PARTS.keySet();
    }

    @EnabledIfKsm
    @ParameterizedTest(name = "{0}")
    @MethodSource("parts")
    void eachPartMeasuresAllOfItsTargets(String part) throws Exception {
        assumeThat(CProgram.isCompilerInstalled() || !COMPARED_WITH_C.contains(part))
                .as("a C compiler")
                .isTrue();
        PartReport report = Performance.PARTS.get(part).get().measure(RunLength.INSTANT);
        assertThat(report.targets())
                .isNotEmpty()
                .allSatisfy(target ->
                        assertThat(target.measured()).as(target.name()).isFinite());
        for (Target target : report.targets()) {
            assertThat(target.name()).startsWith(part + "-");
        }
        assertThat(report.text()).contains("|");
        assertThat(Files.readString(Path.of("..", "benchmarks", "run")))
                .containsPattern("parts=\\(.*\\b" + part + "\\b");
    }
}
