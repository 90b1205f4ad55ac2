package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.junit.EnabledIfKsm;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Failures that cannot be provoked otherwise, answered by the kernel itself. */
@Aside
class SeccompTest {

    @ParameterizedTest
    @ValueSource(strings = {"ffm", "jnr", "jna"})
    @EnabledIfKsm
    void everyErrnoOfEveryCallIsItsExceptionAndLeavesNothing(String backend) {
        // With few threads that start late, nobody else maps memory where a failed allocation was.
        ChildJvm child = ChildJvm.run(
                RefusedCalls.class,
                List.of(
                        "-XX:+UseSerialGC",
                        "-XX:TieredStopAtLevel=1",
                        "-XX:-UseDynamicNumberOfCompilerThreads",
                        "-Dio.ksm4j.backend=" + backend));
        child.assertEndedWell();
        assertThat(child.output()).contains("calls: done", "batches: done", "process: done", "support: done");
    }
}
