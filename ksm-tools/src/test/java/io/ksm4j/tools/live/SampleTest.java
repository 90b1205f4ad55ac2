// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.status.Processes;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SampleTest {

    @ParameterizedTest
    @CsvSource({
        "2026-01-02T03:04:05Z, 2026-01-02T03:04:05.000Z",
        "2026-11-12T13:14:15.6789Z, 2026-11-12T13:14:15.678Z",
    })
    void aTimeAlwaysHasMilliseconds(Instant time, String text, @TempDir Path nothing) {
        Sample sample = new Sample(time, KsmStats.read(nothing, 4096), OptionalDouble.empty(), OptionalDouble.empty());

        assertThat(sample.json(new Processes(List.of(), OptionalInt.of(0)))).containsEntry("time", text);
    }
}
