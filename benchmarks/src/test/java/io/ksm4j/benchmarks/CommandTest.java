package io.ksm4j.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The benchmark runs; what it measures in an instant means little. */
@Tag("long")
class CommandTest {

    @Test
    @EnabledIfKsm(control = true)
    void theCommandIsStartedAndItsEstimateComparedWithTheKernel(RunningKsmd ksmd) throws Exception {
        Command command =
                new Command(Path.of("..", "ksm-tools").toAbsolutePath().normalize());

        assertThat(command.status(1))
                .containsPattern("(?m)^ {4}target command-status-jdk"
                        + Runtime.version().feature() + "-seconds measured \\S+ goal 0.4 ");
        assertThat(command.estimate(ksmd, 16 << 20, 1))
                .containsPattern("(?m)^ {4}target command-estimate-error measured \\S+ goal 0.05 ");
    }
}
