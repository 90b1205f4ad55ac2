// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.agent.isolated;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.agent.isolated.AgentOptions.Merge;
import io.ksm4j.agent.isolated.AgentOptions.Reporting;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AgentOptionsTest {

    @Test
    void withoutOptionsTheJvmIsOptedInAndNothingIsReported() {
        assertThat(AgentOptions.parse(""))
                .isEqualTo(new AgentOptions(
                        Merge.ON, Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty()));
    }

    @Test
    void acceptsOptionsInAnyOrder() {
        assertThat(AgentOptions.parse("fail=true,file=/tmp/a=b,backend=jna,report=60,merge=keep"))
                .isEqualTo(new AgentOptions(
                        Merge.KEEP,
                        Optional.empty(),
                        Optional.of(new Reporting(Duration.ofSeconds(60), false)),
                        Optional.of("/tmp/a=b"),
                        Optional.of("jna")));
        assertThat(AgentOptions.parse("report=exit,merge=off"))
                .isEqualTo(new AgentOptions(
                        Merge.OFF,
                        Optional.empty(),
                        Optional.of(new Reporting(Duration.ZERO, true)),
                        Optional.empty(),
                        Optional.empty()));
    }

    @ParameterizedTest
    @CsvSource({"65536, 65536", "64k, 65536", "2M, 2097152", "1g, 1073741824"})
    void acceptsAMinimumForNativeMemory(String size, long bytes) {
        assertThat(AgentOptions.parse("merge=native,min=" + size))
                .isEqualTo(new AgentOptions(
                        Merge.NATIVE, Optional.of(bytes), Optional.empty(), Optional.empty(), Optional.empty()));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                ",",
                " ",
                "merge",
                "merge=",
                "=on",
                "merge=ON",
                "merge=on,",
                "merge=on,merge=on",
                "nonsense=1",
                "report=0",
                "report=-1",
                "report=1.5",
                "report=31536001",
                "report=99999999999999999999",
                "report=soon",
                "file=/tmp/x",
                "backend=jnr",
                "fail=yes",
                "merge=native,min=63k",
                "merge=native,min=-1",
                "merge=native,min=1t",
                "merge=native,min=9999999999",
                "min=2m",
                "merge=on\nmerge=off"
            })
    void refusesInvalidOptionsInOneLineThatListsTheValidOnes(String options) {
        assertThatThrownBy(() -> AgentOptions.parse(options))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("option \"")
                .hasMessageEndingWith(": " + AgentOptions.HELP)
                .message()
                .hasLineCount(1);
    }
}
