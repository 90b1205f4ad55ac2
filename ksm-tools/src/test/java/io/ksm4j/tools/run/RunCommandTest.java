// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.run;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RunCommandTest {

    @ParameterizedTest
    @CsvSource({
        "6.4.0, true",
        "6.9.12-200.fc40.x86_64, true",
        "6.10, false",
        "6.18.44-cloud, false",
        "7.0-rc1, false",
        "unknown, false"
    })
    void recognizesKernelsThatMayDropTheMark(String version, boolean mayLoseTheMark) {
        assertThat(RunCommand.mayLoseTheMark(version)).isEqualTo(mayLoseTheMark);
    }
}
