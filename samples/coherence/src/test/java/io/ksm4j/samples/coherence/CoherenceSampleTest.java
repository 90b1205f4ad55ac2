// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.coherence;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Runs the sample with a real cluster on loopback. */
@Timeout(value = 10, unit = TimeUnit.MINUTES)
class CoherenceSampleTest {

    private record Ended(int status, String output) {}

    private static Ended run(String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                CoherenceSample.class.getName()));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        try {
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return new Ended(process.waitFor(), output);
        } finally {
            process.destroyForcibly();
        }
    }

    @Tag("long")
    @Test
    void membersStoreEqualValuesOnceAndNoneIsLostWhenOneIsKilled() throws Exception {
        Ended ended = run("--members", "3", "--tenants", "4", "--keys", "1000");

        assertThat(ended.status()).as(ended.output()).isZero();
        assertThat(ended.output())
                .containsPattern("(?m)^target memory-to-distinct measured \\S+ goal 1.05 met$")
                .contains(
                        "after loading: 4000 of 4000 values are there",
                        "after a member was killed: 4000 of 4000 values are there");
    }

    @ParameterizedTest
    @CsvSource({
        "--members, 1, --members must be 2 to 16",
        "--tenants, 0, --tenants must be 1 to 64",
        "--keys, 1, --keys must be 1000 to 100000",
        "--value-size, 2m, --value-size must be 1 to 1m",
        "--value-size, lots, Invalid value for option '--value-size'"
    })
    void argumentsThatMakeNoSenseAreRefused(String option, String value, String message) throws Exception {
        Ended ended = run(option, value);

        assertThat(ended.status()).as(ended.output()).isEqualTo(2);
        assertThat(ended.output()).contains(message);
    }
}
