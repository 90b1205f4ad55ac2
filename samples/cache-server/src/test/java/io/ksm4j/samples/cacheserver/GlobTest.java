// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GlobTest {

    @ParameterizedTest
    @CsvSource({
        "*, anything, true",
        "h?llo, hello, true",
        "h?llo, hllo, false",
        "h*llo, hllo, true",
        "h*llo, heeeello, true",
        "h*l*o, hello, true",
        "h*l*x, hello, false",
        "h[ae]llo, hallo, true",
        "h[ae]llo, hillo, false",
        "h[^e]llo, hallo, true",
        "h[^e]llo, hello, false",
        "h[a-b]llo, hbllo, true",
        "h[b-a]llo, hallo, true",
        "h[a-b]llo, hcllo, false",
        "h\\*llo, h*llo, true",
        "h\\*llo, hello, false",
        "h[\\]]llo, h]llo, true",
        "h[ae, ha, true",
        "hello, hello, true",
        "hello, hell, false",
        "hell, hello, false",
        "a**b, ab, true",
        "*a*b, xaxxb, true",
        "\\, \\, true",
    })
    void matchesAsInRedis(String pattern, String text, boolean matches) {
        assertThat(new Glob(pattern).matches(text)).isEqualTo(matches);
    }

    @Test
    void manyAsterisksDoNotTakeExponentialTime() {
        assertThat(new Glob("a*".repeat(100) + "b").matches("a".repeat(10_000))).isFalse();
    }

    @Test
    void theEmptyPatternMatchesTheEmptyTextOnly() {
        assertThat(new Glob("").matches("")).isTrue();
        assertThat(new Glob("").matches("a")).isFalse();
        assertThat(new Glob("*").matches("")).isTrue();
    }
}
