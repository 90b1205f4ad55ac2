// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.EnabledIfKsm;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** Failures that cannot be provoked in another way, returned by the kernel itself. */
@Aside
class SeccompTest {

    @Tag("long")
    @ParameterizedTest
    @FieldSource("io.ksm4j.it.fixtures.TestedBackends#SOME")
    @EnabledIfKsm
    void everyErrnoOfEveryCallHasItsExceptionAndNothingLeaks(String backend) {
        // With few threads that start late, nothing else maps memory at the addresses of a failed allocation.
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
