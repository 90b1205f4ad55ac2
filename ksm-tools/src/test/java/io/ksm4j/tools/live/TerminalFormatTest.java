// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import org.jline.utils.AttributedString;
import org.jline.utils.AttributedStyle;
import org.junit.jupiter.api.Test;

/** Formatting for a terminal. */
class TerminalFormatTest {

    @Test
    void partsFlowIntoAsManyLinesAsNeeded() {
        assertThat(flow(30)).containsExactly("saved 1   cost 2   profit 345");
        assertThat(flow(29)).containsExactly("saved 1   cost 2   profit 345");
        assertThat(flow(28)).containsExactly("saved 1   cost 2", "profit 345");
        assertThat(flow(1)).containsExactly("saved 1", "cost 2", "profit 345");
    }

    private static List<String> flow(int columns) {
        List<AttributedString> lines = new ArrayList<>();
        TerminalFormat.flow(lines, columns, List.of("saved 1", "cost 2", "profit 345"));
        return lines.stream().map(AttributedString::toString).toList();
    }

    @Test
    void timesHaveAReadableUnit() {
        assertThat(List.of(0.1, 2.0, 119.0, 120.0, 4000.0, 7200.0, 86_400.0))
                .extracting(TerminalFormat::seconds)
                .containsExactly("0.1 s", "2 s", "119 s", "2 min", "66.7 min", "2 h", "24 h");
    }

    @Test
    void historyIsScaledToTheVisibleMaximum() {
        RecentValues history = new RecentValues();
        history.add(9);
        history.add(1);
        history.add(4);
        TerminalFormat format = new TerminalFormat(Bars.ASCII, false);

        assertThat(line(format, history.latest(2))).isEqualTo("ksmd .# 4.0 %");
        assertThat(line(format, history.latest(5))).isEqualTo("ksmd   #_- 9.0 %");
    }

    @Test
    void anEmptyHistoryDiffersFromZero() {
        RecentValues history = new RecentValues();
        TerminalFormat format = new TerminalFormat(Bars.ASCII, false);
        assertThat(line(format, history.latest(3))).isEqualTo("ksmd     -");

        history.add(0);
        assertThat(line(format, history.latest(3))).isEqualTo("ksmd   _ 0.0 %");
    }

    private static String line(TerminalFormat format, double[] values) {
        return format.history("ksmd ", values, TerminalFormat::percent, AttributedStyle.YELLOW)
                .toString();
    }

    @Test
    void unknownValuesAreADash() {
        assertThat(TerminalFormat.bytes(OptionalDouble.empty())).isEqualTo("-");
        assertThat(TerminalFormat.percent(OptionalDouble.empty())).isEqualTo("-");
        assertThat(TerminalFormat.percent(OptionalDouble.of(12.34))).isEqualTo("12.3 %");
    }
}
