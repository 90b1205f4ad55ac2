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
 * How things look on a terminal.
 *
 * @param bars what bars are drawn with
 * @param hasColours whether they have colours
 */
record TerminalFormat(Bars bars, boolean hasColours) {

    private static final String GAP = "   ";

    private static final double MINUTE = 60;
    private static final double HOUR = 3600;

    /** By the locale, and by the variable {@code NO_COLOR} (no-color.org). */
    static TerminalFormat ofThisTerminal() {
        String noColor = System.getenv("NO_COLOR");
        return new TerminalFormat(Bars.of(Console.charset()), noColor == null || noColor.isEmpty());
    }

    /** Adds as many lines as the parts take. */
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

    /** The line above a table, over the whole width. */
    static AttributedString heading(String text, int columns) {
        String padded = text + " ".repeat(Math.max(0, columns - text.length()));
        return new AttributedString(padded, AttributedStyle.INVERSE);
    }

    /** Bars between two texts. */
    AttributedString bar(String before, String drawn, String after, int colour) {
        AttributedStyle style = hasColours ? AttributedStyle.DEFAULT.foreground(colour) : AttributedStyle.DEFAULT;
        return new AttributedStringBuilder()
                .append(before)
                .styled(style, drawn)
                .append(after)
                .toAttributedString();
    }

    /** What came last, the greatest number in full height and, as text, behind it. */
    AttributedString history(String name, double[] values, Function<OptionalDouble, String> text, int colour) {
        OptionalDouble max =
                Arrays.stream(values).filter(value -> !Double.isNaN(value)).max();
        String drawn =
                bars.draw(values, Math.max(max.orElse(0), Double.MIN_NORMAL), 1).get(0);
        return bar(name, drawn, " " + text.apply(max), colour);
    }

    /** Bars over the whole width, in rows. */
    List<AttributedString> plot(double[] values, double max, int rows, int colour) {
        List<AttributedString> lines = new ArrayList<>();
        for (String row : bars.draw(values, Math.max(max, Double.MIN_NORMAL), rows)) {
            lines.add(bar("", row, "", colour));
        }
        return lines;
    }

    /** As {@link ByteCount} has it; a dash if there is none. */
    static String bytes(OptionalDouble bytes) {
        return bytes.isPresent() ? ByteCount.text((long) bytes.getAsDouble()) : "-";
    }

    /** For example {@code 12.5 %}; a dash if there is none. */
    static String percent(OptionalDouble percent) {
        return percent.isPresent() ? String.format(Locale.ROOT, "%.1f %%", percent.getAsDouble()) : "-";
    }

    /** For example {@code 0.5 s}, {@code 90 s}, {@code 10 min}, {@code 2.5 h}. */
    static String seconds(double seconds) {
        double value = seconds < 2 * MINUTE ? seconds : seconds < 2 * HOUR ? seconds / MINUTE : seconds / HOUR;
        String unit = seconds < 2 * MINUTE ? " s" : seconds < 2 * HOUR ? " min" : " h";
        return String.format(Locale.ROOT, "%.1f", value).replace(".0", "") + unit;
    }
}
