// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.command;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Checks that the benchmark works. The numbers of such short runs are meaningless. */
@Tag("long")
class CommandBenchmarkTest {

    @Test
    @EnabledIfKsm(control = true)
    void measuresStatusAndComparesTheEstimateWithTheKernel(RunningKsmd ksmd) throws Exception {
        CommandBenchmark command =
                new CommandBenchmark(Path.of("..", "ksm-tools").toAbsolutePath().normalize());

        assertThat(command.status(1))
                .containsPattern("(?m)^ {4}target command-status-jdk"
                        + Runtime.version().feature() + "-seconds measured \\S+ goal 0.4 .*\\n.*-cpu-seconds measured"
                        + " \\S+ goal 0.15 ");
        assertThat(command.estimate(ksmd, 16 << 20, 1))
                .containsPattern("(?m)^ {4}target command-estimate-reading-gib-a-second measured \\S+ goal 4.0 ")
                .containsPattern("(?m)^ {4}target command-estimate-error measured \\S+ goal 0.05 ");
        assertThat(command.estimateOfReserved(1))
                .containsPattern("(?m)^ {4}target command-estimate-200-gib-reserved-seconds measured \\S+ goal 0.3 ")
                .containsPattern("(?m)^ {4}target command-estimate-16384-gib-reserved-seconds measured \\S+ goal 0.3 ");
    }
}
