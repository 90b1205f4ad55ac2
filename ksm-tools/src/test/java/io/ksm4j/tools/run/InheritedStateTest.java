// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.tools.output.CommandFailedException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class InheritedStateTest {

    @Test
    void parsesTheLaunchersVariable() {
        String environment = Base64.getMimeEncoder()
                .encodeToString("a.b=1\0LONG=".concat("x".repeat(200)).getBytes(StandardCharsets.UTF_8));

        InheritedState inherited = InheritedState.parse(
                "ignored=8000000000001000 coredump_filter=00000033 closed=02 environment=" + environment);

        assertThat(inherited.ignored()).hasValue(Long.MIN_VALUE | 1 << 12);
        assertThat(inherited.coredumpFilter()).hasValue("00000033");
        assertThat(inherited.closed()).hasValue("02");
        assertThat(inherited.environment().orElseThrow())
                .asString()
                .startsWith("a.b=1\0LONG=xxx")
                .hasSize(211);
    }

    @Test
    void emptyValuesAreAbsent() {
        InheritedState inherited = InheritedState.parse("ignored= coredump_filter= closed= environment=");

        assertThat(inherited.ignored()).isEmpty();
        assertThat(inherited.coredumpFilter()).isEmpty();
        assertThat(inherited.closed()).hasValue("");
        assertThat(inherited.environment()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "yes",
                "ignored=1 coredump_filter=33 closed= environment=",
                "ignored= coredump_filter=33 closed=3 environment=",
                "ignored= coredump_filter= closed= environment=a",
                "ignored= coredump_filter= closed= environment=?"
            })
    void rejectsOtherValues(String variable) {
        assertThatThrownBy(() -> InheritedState.parse(variable))
                .isInstanceOf(CommandFailedException.class)
                .hasMessageContaining("KSM_INHERITED")
                .hasMessageEndingWith("unset it");
    }
}
