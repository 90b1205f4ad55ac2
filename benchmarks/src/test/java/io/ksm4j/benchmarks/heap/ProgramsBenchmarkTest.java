// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.heap;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.benchmarks.GeneratedSection;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Checks that the benchmark works. The numbers of such short runs are meaningless. */
class ProgramsBenchmarkTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

    @Tag("long")
    @Test
    @EnabledIfKsm(control = true)
    void measuresEachKindOfProgram() throws Exception {
        String text;
        try (RunningKsmd ksmd = RunningKsmd.start()) {
            ProgramsBenchmark benchmark = new ProgramsBenchmark(ROOT.resolve("ksm-agent/target/ksm-agent.jar"));
            text = benchmark.measure(ksmd, 16 << 20, 1);
        }

        assertThat(text)
                .containsPattern(
                        "(?m)^\\| heap: small objects, G1 \\| -?\\d+ % \\| -?\\d+ to -?\\d+ % \\| \\d+ \\| \\d+ \\| ")
                .containsPattern("(?m)^\\| direct buffers of 8 MiB \\| -?\\d+ % \\| ")
                .containsPattern("(?m)^\\| native library: blocks of 8 MiB \\| -?\\d+ % \\| ")
                .containsPattern("(?m)^\\| zeros: .* \\| -?\\d+ % \\| ");
    }

    @Test
    void thePageHasASectionForTheTable() throws Exception {
        assertThat(new GeneratedSection(Path.of("docs", "agent.md"), "programs").replaced(ROOT, "made up"))
                .contains("made up");
    }
}
