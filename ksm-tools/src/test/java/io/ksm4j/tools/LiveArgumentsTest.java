// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.tools.output.ExitStatus;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Command lines that {@code ksm top} and {@code ksm watch} reject without showing anything. */
class LiveArgumentsTest {

    @ParameterizedTest
    @ValueSource(
            strings = {
                "top 1",
                "top --interval 0",
                "top --interval 0.09",
                "top --interval -1",
                "top --interval NaN",
                "top --interval 86401",
                "top --interval 1e999",
                "top -n 0",
                "top -n -1",
                "top -n some",
                "watch",
                "watch 0",
                "watch some",
                "watch 1 2",
                "watch 1 --all",
                "watch --all --interval 0",
                "watch --all -n 0",
                "watch --all --svg"
            })
    void rejectsInvalidArguments(String arguments) {
        assertThat(KsmCommand.commandLine().execute(arguments.split(" ", -1))).isEqualTo(ExitStatus.USAGE);
    }

    @ParameterizedTest
    @ValueSource(strings = {"/no/such/directory/plot.svg", "/", "/proc/plot.svg"})
    void rejectsAnUnwritablePlotFileAtOnce(String file) {
        assertThat(KsmCommand.commandLine().execute("watch", "--all", "--svg", file))
                .isEqualTo(ExitStatus.FAILURE);
    }
}
