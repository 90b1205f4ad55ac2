package io.ksm4j.tools;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import org.jline.utils.AttributedString;
import org.junit.jupiter.api.Test;

/** How things look on a terminal. */
class LookTest {

    @Test
    void partsTakeAsManyLinesAsTheyNeed() {
        assertThat(flow(30)).containsExactly("saved 1   cost 2   profit 345");
        assertThat(flow(29)).containsExactly("saved 1   cost 2   profit 345");
        assertThat(flow(28)).containsExactly("saved 1   cost 2", "profit 345");
        assertThat(flow(1)).containsExactly("saved 1", "cost 2", "profit 345");
    }

    private static List<String> flow(int columns) {
        List<AttributedString> lines = new ArrayList<>();
        Look.flow(lines, columns, List.of("saved 1", "cost 2", "profit 345"));
        return lines.stream().map(AttributedString::toString).toList();
    }

    @Test
    void timesAreInTheUnitThatTheyAreSaidIn() {
        assertThat(List.of(0.1, 2.0, 119.0, 120.0, 4000.0, 7200.0, 86_400.0))
                .extracting(Look::seconds)
                .containsExactly("0.1 s", "2 s", "119 s", "2 min", "66.7 min", "2 h", "24 h");
    }

    @Test
    void whatIsUnknownIsADash() {
        assertThat(Look.percent(OptionalDouble.empty())).isEqualTo("-");
        assertThat(Look.percent(OptionalDouble.of(12.34))).isEqualTo("12.3 %");
    }
}
