package io.ksm4j.benchmarks;

import io.ksm4j.plot.Plot;
import java.util.List;
import java.util.Map;

/**
 * What a part has measured.
 *
 * @param text Markdown, with a table of all that was measured; shows a plot as {@code performance-NAME.svg}
 * @param plots by name
 */
record PartReport(String text, Map<String, Plot> plots, List<Target> targets) {

    PartReport {
        plots = Map.copyOf(plots);
        targets = List.copyOf(targets);
        for (String name : plots.keySet()) {
            if (!text.contains("(" + svg(name) + ")")) {
                throw new IllegalArgumentException("the text doesn't show " + svg(name));
            }
        }
    }

    static String svg(String plot) {
        return "performance-" + plot + ".svg";
    }
}
