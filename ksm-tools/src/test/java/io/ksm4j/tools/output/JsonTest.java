// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.output;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class JsonTest {

    @Test
    void objectsKeepTheOrderOfNames() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("b", 1);
        map.put("a", List.of(true, Map.of(), List.of()));
        map.put("c", null);

        assertThat(Json.of(map)).isEqualTo("{\"b\": 1, \"a\": [true, {}, []], \"c\": null}");
    }

    @Test
    void absentValuesAreNull() {
        assertThat(Json.of(List.of(
                        OptionalLong.empty(),
                        OptionalLong.of(Long.MIN_VALUE),
                        OptionalDouble.empty(),
                        Optional.empty())))
                .isEqualTo("[null, -9223372036854775808, null, null]");
        assertThat(Json.of(List.of(OptionalDouble.of(0.5), Optional.of("x"), Double.NaN, Double.POSITIVE_INFINITY)))
                .isEqualTo("[0.5, \"x\", null, null]");
    }

    @Test
    void stringsMayContainAnyCharacter() {
        assertThat(Json.of("\"\\/\n\u0000\u001b\u007f\u00e9\ud83d\ude00"))
                .isEqualTo("\"\\\"\\\\/\\u000a\\u0000\\u001b\\u007f\\u00e9\\ud83d\\ude00\"");
        assertThat(Json.of(TimeUnit.DAYS)).isEqualTo("\"DAYS\"");
    }

    @Test
    void rejectsOtherObjects() {
        assertThatThrownBy(() -> Json.of(new Object())).isInstanceOf(IllegalArgumentException.class);
    }
}
