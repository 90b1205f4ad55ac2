package io.ksm4j.benchmarks;

import java.util.ArrayList;
import java.util.Formatter;
import java.util.List;
import java.util.Locale;

/**
 * Lines over a common axis, as SVG that follows the reader's light or dark theme.
 *
 * @param x the axis all panels have in common
 * @param panels from top to bottom; a line has the same colour in each, by its place in the list
 */
record Plot(String title, Axis x, List<Panel> panels) {

    record Panel(Axis y, List<Line> lines) {}

    record Axis(String label, double from, double to, boolean isLogarithmic) {

        /** 0 at the beginning, 1 at the end; what is beyond is cut. */
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

        /** The next 1, 2 or 5 of its decade. */
        private static double step(double least) {
            double decade = Math.pow(10, Math.floor(Math.log10(least)));
            double digit = least / decade;
            return decade * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
        }
    }

    record Line(String name, List<Point> points) {}

    record Point(double x, double y) {}

    private static final int WIDTH = 760;
    private static final int LEFT = 64;
    private static final int RIGHT = 20;
    private static final int TOP = 40;
    private static final int PANEL = 220;
    private static final int GAP = 28;
    private static final int LEGEND_ROW = 20;
    private static final int LEGEND_COLUMNS = 3;

    /** Told apart by people who see colours differently too; one for a light, one for a dark page. */
    private static final List<String> LIGHT =
            List.of("#0072b2", "#d55e00", "#007a5e", "#a4508b", "#8a6d00", "#3b9bd6", "#b22222", "#595959");

    private static final List<String> DARK =
            List.of("#56b4e9", "#ff9e4a", "#2fc79b", "#e79acb", "#e6c229", "#8fd0ff", "#ff7f7f", "#b8b8b8");

    String svg() {
        List<Line> lines = panels.get(0).lines();
        if (lines.size() > LIGHT.size()) {
            throw new IllegalArgumentException("more lines than colours: " + lines.size());
        }
        int bottom = TOP + panels.size() * (PANEL + GAP);
        int rows = (lines.size() + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
        int height = bottom + 24 + rows * LEGEND_ROW;
        Formatter svg = new Formatter(Locale.ROOT);
        svg.format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\">%n", WIDTH, height);
        svg.format("<title>%s</title>%n", escaped(title));
        style(svg, lines.size());
        svg.format("<text class=\"title\" x=\"%d\" y=\"24\">%s</text>%n", LEFT, escaped(title));
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
                LEFT + 4, top + 14, escaped(panel.y().label()));
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
