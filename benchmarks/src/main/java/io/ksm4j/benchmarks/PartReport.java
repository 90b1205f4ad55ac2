// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks;

import io.ksm4j.plot.Plot;
import java.util.List;
import java.util.Map;

/**
 * The results of one part.
 *
 * @param text Markdown with tables of all results; each plot is included as {@code performance-NAME.svg}
 * @param plots the plots by name
 * @param targets the targets with their measured values
 */
public record PartReport(String text, Map<String, Plot> plots, List<Target> targets) {

    public PartReport {
        plots = Map.copyOf(plots);
        targets = List.copyOf(targets);
        for (String name : plots.keySet()) {
            if (!text.contains("(" + svg(name) + ")")) {
                throw new IllegalArgumentException("the text does not include " + svg(name));
            }
        }
    }

    public static String svg(String plot) {
        return "performance-" + plot + ".svg";
    }
}
