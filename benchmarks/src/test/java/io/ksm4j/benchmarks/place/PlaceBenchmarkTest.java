// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.place;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Checks that the benchmark works. The time of such a small fleet is meaningless, but what it shares is not. */
@Tag("long")
class PlaceBenchmarkTest {

    @Test
    void measuresTheTimeAndComparesDistributions() throws Exception {
        PlaceBenchmark benchmark =
                new PlaceBenchmark(Path.of("..", "ksm-tools").toAbsolutePath().normalize());

        assertThat(benchmark.measure(new SimulatedFleet(6, 48, 0.05), 8))
                .containsPattern("(?m)^ {4}target place-seconds measured \\S+ goal 60.0 ")
                .containsPattern("(?m)^ {4}target place-error measured \\S+ goal 0.05 met$")
                .containsPattern("(?m)^ {4}target place-shared-relative-to-service-by-service measured \\S+ goal 1.0 ");
    }
}
