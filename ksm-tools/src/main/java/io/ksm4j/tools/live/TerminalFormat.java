// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import io.ksm4j.tools.output.ByteCount;
import io.ksm4j.tools.output.Console;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.function.Function;
import org.jline.utils.AttributedString;
import org.jline.utils.AttributedStringBuilder;
import org.jline.utils.AttributedStyle;

/**
 * Formats text and bars for a terminal.
 *
 * @param bars how to draw bars
 * @param hasColours whether to use colors
 */
record TerminalFormat(Bars bars, boolean hasColours) {

    private static final String GAP = "   ";

    private static final double MINUTE = 60;
    private static final double HOUR = 3600;

    /** Returns the format for the locale and the variable {@code NO_COLOR} (no-color.org). */
    static TerminalFormat ofThisTerminal() {
        String noColor = System.getenv("NO_COLOR");
        return new TerminalFormat(Bars.of(Console.charset()), noColor == null || noColor.isEmpty());
    }

    /** Appends the parts in as many lines as they need. */
    static void flow(List<AttributedString> lines, int columns, List<String> parts) {
        StringBuilder line = new StringBuilder();
        for (String part : parts) {
            if (!line.isEmpty() && line.length() + GAP.length() + part.length() > columns) {
                lines.add(new AttributedString(line));
                line.setLength(0);
            }
            line.append(line.isEmpty() ? "" : GAP).append(part);
        }
        lines.add(new AttributedString(line));
    }

    /** Returns the heading of a table, in full width. */
    static AttributedString heading(String text, int columns) {
        String padded = text + " ".repeat(Math.max(0, columns - text.length()));
        return new AttributedString(padded, AttributedStyle.INVERSE);
    }

    /** Returns bars between two texts. */
    AttributedString bar(String before, String drawn, String after, int colour) {
        AttributedStyle style = hasColours ? AttributedStyle.DEFAULT.foreground(colour) : AttributedStyle.DEFAULT;
        return new AttributedStringBuilder()
                .append(before)
                .styled(style, drawn)
                .append(after)
                .toAttributedString();
    }

    /** Returns recent values as bars; the maximum has full height and follows as text. */
    AttributedString history(String name, double[] values, Function<OptionalDouble, String> text, int colour) {
        OptionalDouble max =
                Arrays.stream(values).filter(value -> !Double.isNaN(value)).max();
        String drawn =
                bars.draw(values, Math.max(max.orElse(0), Double.MIN_NORMAL), 1).get(0);
        return bar(name, drawn, " " + text.apply(max), colour);
    }

    /** Returns bars over the full width, in rows. */
    List<AttributedString> plot(double[] values, double max, int rows, int colour) {
        List<AttributedString> lines = new ArrayList<>();
        for (String row : bars.draw(values, Math.max(max, Double.MIN_NORMAL), rows)) {
            lines.add(bar("", row, "", colour));
        }
        return lines;
    }

    /** Returns the text of {@link ByteCount}, or a dash if there is no number. */
    static String bytes(OptionalDouble bytes) {
        return bytes.isPresent() ? ByteCount.text((long) bytes.getAsDouble()) : "-";
    }

    /** Returns a text such as {@code 12.5 %}, or a dash if there is no number. */
    static String percent(OptionalDouble percent) {
        return percent.isPresent() ? String.format(Locale.ROOT, "%.1f %%", percent.getAsDouble()) : "-";
    }

    /** Returns a text such as {@code 0.5 s}, {@code 90 s}, {@code 10 min} or {@code 2.5 h}. */
    static String seconds(double seconds) {
        double value = seconds < 2 * MINUTE ? seconds : seconds < 2 * HOUR ? seconds / MINUTE : seconds / HOUR;
        String unit = seconds < 2 * MINUTE ? " s" : seconds < 2 * HOUR ? " min" : " h";
        return String.format(Locale.ROOT, "%.1f", value).replace(".0", "") + unit;
    }
}
