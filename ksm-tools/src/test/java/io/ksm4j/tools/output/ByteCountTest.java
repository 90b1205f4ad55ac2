// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.output;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.OptionalLong;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ByteCountTest {

    @ParameterizedTest
    @CsvSource({
        "0, 0 B",
        "1023, 1023 B",
        "-1023, -1023 B",
        "1024, 1.0 KiB",
        "1536, 1.5 KiB",
        "1048575, 1.0 MiB",
        "1048524, 1023.9 KiB",
        "-3221225472, -3.0 GiB",
        "9223372036854775807, 8.0 EiB",
        "-9223372036854775808, -8.0 EiB"
    })
    void usesTheUnitThatFits(long bytes, String text) {
        assertThat(ByteCount.text(bytes)).isEqualTo(text);
        assertThat(ByteCount.text(OptionalLong.of(bytes))).isEqualTo(text);
        assertThat(ByteCount.text(OptionalLong.empty())).isEqualTo("-");
    }
}
