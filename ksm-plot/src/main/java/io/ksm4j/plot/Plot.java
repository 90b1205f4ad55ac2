// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.plot;

import java.util.ArrayList;
import java.util.Formatter;
import java.util.List;
import java.util.Locale;

/**
 * A line chart, as SVG that adapts to a light or dark theme. Immutable.
 *
 * @param title the heading, which screen readers read, too
 * @param x the axis of all panels
 * @param panels from top to bottom, at least one; the index of a line decides its colour in all panels, and the legend
 *     has the names of the lines of the first panel
 */
public record Plot(String title, Axis x, List<Panel> panels) {

    /**
     * A chart with its own vertical axis.
     *
     * @param y from bottom to top
     * @param lines at most eight, as there are no more colours
     */
    public record Panel(Axis y, List<Line> lines) {

        /**
         * Copies the list.
         *
         * @throws IllegalArgumentException if there are more lines than colours
         */
        public Panel {
            lines = List.copyOf(lines);
            if (lines.size() > LIGHT.size()) {
                throw new IllegalArgumentException("more lines than colours: " + lines.size());
            }
        }
    }

    /**
     * An axis.
     *
     * @param label the quantity, with its unit
     * @param from the number at the start
     * @param to the number at the end
     * @param isLogarithmic whether equal distances are equal factors instead of equal differences
     */
    public record Axis(String label, double from, double to, boolean isLogarithmic) {

        /**
         * Checks the numbers.
         *
         * @throws IllegalArgumentException if a number is not finite, if the numbers are not in order, or if a
         *     logarithmic axis starts at 0 or below
         */
        public Axis {
            if (!(Double.isFinite(from) && Double.isFinite(to) && from < to)) {
                throw new IllegalArgumentException("invalid axis from " + from + " to " + to);
            }
            if (isLogarithmic && from <= 0) {
                throw new IllegalArgumentException("a logarithmic axis cannot start at " + from);
            }
        }

        /** {@return the position of a number: 0 at the start, 1 at the end; numbers beyond are clipped} */
        double position(double value) {
            double at = isLogarithmic
                    ? Math.log(Math.max(value, from) / from) / Math.log(to / from)
                    : (value - from) / (to - from);
            return Math.max(0, Math.min(1, at));
        }

        List<Double> ticks() {
            List<Double> ticks = new ArrayList<>();
            if (isLogarithmic) {
                for (int decade = (int) Math.ceil(Math.log10(from)); decade <= Math.log10(to); decade++) {
                    ticks.add(Math.pow(10, decade));
                }
                return ticks;
            }
            double step = step((to - from) / 5);
            for (int i = (int) Math.ceil(from / step); i * step <= to * (1 + 1e-9); i++) {
                ticks.add(i * step);
            }
            return ticks;
        }

        /** {@return the smallest of 1, 2, 5, 10, 20, 50 and so on that is not below the minimum} */
        private static double step(double min) {
            double decade = Math.pow(10, Math.floor(Math.log10(min)));
            double digit = min / decade;
            return decade * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
        }
    }

    /**
     * A line.
     *
     * @param name for the legend
     * @param points in the order in which the line joins them; may be empty
     */
    public record Line(String name, List<Point> points) {

        /** Copies the list. */
        public Line {
            points = List.copyOf(points);
        }
    }

    /**
     * A point of a line. A point beyond an axis is drawn at the border.
     *
     * @param x on the axis of all panels
     * @param y on the panel's axis
     */
    public record Point(double x, double y) {

        /**
         * Checks the numbers.
         *
         * @throws IllegalArgumentException if a number is not finite
         */
        public Point {
            if (!(Double.isFinite(x) && Double.isFinite(y))) {
                throw new IllegalArgumentException("invalid point at " + x + ", " + y);
            }
        }
    }

    private static final int WIDTH = 760;
    private static final int LEFT = 64;
    private static final int RIGHT = 20;
    private static final int TOP = 40;
    private static final int PANEL = 220;
    private static final int GAP = 28;
    private static final int LEGEND_ROW = 20;
    private static final int LEGEND_COLUMNS = 3;

    /** For light pages. People with colour blindness can tell the colours apart, too. */
    private static final List<String> LIGHT =
            List.of("#0072b2", "#d55e00", "#007a5e", "#a4508b", "#8a6d00", "#3b9bd6", "#b22222", "#595959");

    /** For dark pages. */
    private static final List<String> DARK =
            List.of("#56b4e9", "#ff9e4a", "#2fc79b", "#e79acb", "#e6c229", "#8fd0ff", "#ff7f7f", "#b8b8b8");

    /**
     * Copies the list.
     *
     * @throws IllegalArgumentException if there is no panel
     */
    public Plot {
        panels = List.copyOf(panels);
        if (panels.isEmpty()) {
            throw new IllegalArgumentException("a plot needs at least one panel");
        }
    }

    /**
     * {@return this plot as an SVG document} Equal plots give equal documents, in every locale.
     */
    public String svg() {
        List<Line> lines = panels.get(0).lines();
        int bottom = TOP + panels.size() * (PANEL + GAP);
        int rows = (lines.size() + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
        int height = bottom + 24 + rows * LEGEND_ROW;
        Formatter svg = new Formatter(Locale.ROOT);
        svg.format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\">%n", WIDTH, height);
        svg.format("<title>%s</title>%n", escaped(title));
        style(svg, panels.stream().mapToInt(panel -> panel.lines().size()).max().orElse(0));
        svg.format("<text class=\"title\" x=\"%d\" y=\"18\">%s</text>%n", LEFT, escaped(title));
        for (int i = 0; i < panels.size(); i++) {
            panel(svg, panels.get(i), TOP + i * (PANEL + GAP));
        }
        int labels = bottom - GAP + 16;
        for (double tick : x.ticks()) {
            svg.format(
                    "<text x=\"%s\" y=\"%d\" text-anchor=\"middle\">%s</text>%n", across(tick), labels, number(tick));
        }
        svg.format(
                "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>%n",
                WIDTH - RIGHT, labels + 18, escaped(x.label()));
        for (int i = 0; i < lines.size(); i++) {
            int column = LEFT + i % LEGEND_COLUMNS * ((WIDTH - LEFT - RIGHT) / LEGEND_COLUMNS);
            int row = bottom + 16 + i / LEGEND_COLUMNS * LEGEND_ROW;
            svg.format("<path class=\"c%d\" d=\"M%d %dh18\"/>%n", i, column, row - 4);
            svg.format(
                    "<text x=\"%d\" y=\"%d\">%s</text>%n",
                    column + 24, row, escaped(lines.get(i).name()));
        }
        return svg.format("</svg>%n").toString();
    }

    private static void style(Formatter svg, int lines) {
        svg.format("<style>%n");
        svg.format("text{font:12px system-ui,sans-serif;fill:#444}.title{font-size:15px;font-weight:600}%n");
        svg.format("path{fill:none;stroke-width:2;stroke-linejoin:round}.grid{stroke:#ddd;stroke-width:1}%n");
        colours(svg, lines, LIGHT);
        svg.format("@media(prefers-color-scheme:dark){text{fill:#ccc}.grid{stroke:#444}%n");
        colours(svg, lines, DARK);
        svg.format("}\n</style>%n");
    }

    private static void colours(Formatter svg, int lines, List<String> colours) {
        for (int i = 0; i < lines; i++) {
            svg.format(".c%d{stroke:%s}%n", i, colours.get(i));
        }
    }

    private void panel(Formatter svg, Panel panel, int top) {
        svg.format(
                "<text x=\"%d\" y=\"%d\">%s</text>%n",
                LEFT, top - 5, escaped(panel.y().label()));
        for (double tick : panel.y().ticks()) {
            String at = coordinate(down(panel, tick, top));
            svg.format("<path class=\"grid\" d=\"M%d %sH%d\"/>%n", LEFT, at, WIDTH - RIGHT);
            svg.format("<text x=\"%d\" y=\"%s\" text-anchor=\"end\" dy=\"4\">%s</text>%n", LEFT - 6, at, number(tick));
        }
        for (double tick : x.ticks()) {
            svg.format("<path class=\"grid\" d=\"M%s %dv%d\"/>%n", across(tick), top, PANEL);
        }
        for (int i = 0; i < panel.lines().size(); i++) {
            StringBuilder path = new StringBuilder();
            for (Point point : panel.lines().get(i).points()) {
                path.append(path.isEmpty() ? "M" : "L")
                        .append(across(point.x()))
                        .append(' ')
                        .append(coordinate(down(panel, point.y(), top)));
            }
            svg.format("<path class=\"c%d\" d=\"%s\"/>%n", i, path);
        }
    }

    private String across(double value) {
        return coordinate(LEFT + x.position(value) * (WIDTH - LEFT - RIGHT));
    }

    private static double down(Panel panel, double value, int top) {
        return top + (1 - panel.y().position(value)) * PANEL;
    }

    private static String coordinate(double value) {
        return String.format(Locale.ROOT, "%.1f", value);
    }

    private static String number(double value) {
        String text = String.format(Locale.ROOT, "%.3f", value);
        return text.replaceAll("\\.?0+$", "");
    }

    private static String escaped(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    }
}
