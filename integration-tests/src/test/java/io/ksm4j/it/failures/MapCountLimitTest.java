// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.Machine;
import io.ksm4j.junit.EnabledIfKsm;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code vm.max_map_count} is reached in a child JVM. */
@Aside
class MapCountLimitTest {

    private static final long LARGEST = 200_000;

    @Tag("long")
    @ParameterizedTest
    @FieldSource("io.ksm4j.it.fixtures.TestedBackends#SOME")
    @EnabledIfKsm
    void theLimitIsReportedAndNoCallIsHalfDone(String backend) throws IOException {
        long limit = Machine.maxMapCount();
        assumeTrue(limit <= LARGEST, "vm.max_map_count is " + limit + ": so many mappings take minutes");
        // Maps at the start what the JVM may need later: at the limit it cannot map anything.
        ChildJvm child = ChildJvm.run(
                MapCountLimit.class,
                List.of(
                        "-Xms256m",
                        "-Xmx512m",
                        "-XX:+AlwaysPreTouch",
                        "-XX:+UseSerialGC",
                        "-XX:TieredStopAtLevel=1",
                        "-XX:InitialCodeCacheSize=32m",
                        "-XX:ReservedCodeCacheSize=32m",
                        // The library must not keep a reserve here.
                        "-Dio.ksm4j.mappingReserve=0",
                        "-Dio.ksm4j.backend=" + backend));
        child.assertEndedWell();
        assertThat(child.output()).contains("marks: done", "regions: done");
    }

    /** A JVM that cannot map memory dies: here it would, while it loads the classes of the exception. */
    @Tag("long")
    @Test
    @EnabledIfKsm
    void someMappingsAreReservedForTheJvm() throws IOException {
        assumeTrue(Machine.maxMapCount() <= LARGEST, "so many mappings take minutes");
        run("ffm", "marks");
    }

    /** Closed regions keep their addresses until their buffers are collected. */
    @Tag("long")
    @ParameterizedTest
    @ValueSource(strings = {"jna", "jnr"})
    @EnabledIfKsm
    void openingAndClosingRegionsDoesNotReachTheLimit(String backend) throws IOException {
        long limit = Machine.maxMapCount();
        assumeTrue(limit <= LARGEST, "vm.max_map_count is " + limit + ": so many regions take minutes");
        run(backend, "closed", String.valueOf(limit + limit / 2));
    }

    private static void run(String backend, String... arguments) {
        ChildJvm child =
                ChildJvm.run(MappingReserve.class, List.of("-Xmx1g", "-Dio.ksm4j.backend=" + backend), arguments);
        child.assertEndedWell();
        assertThat(child.output()).contains(arguments[0] + ": done");
    }
}
