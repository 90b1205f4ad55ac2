// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.performance;

import io.ksm4j.benchmarks.Disturbance;
import io.ksm4j.benchmarks.GeneratedSection;
import io.ksm4j.benchmarks.Machine;
import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.plot.Plot;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * The page {@code docs/performance.md} below a root directory: a section for each part, and a summary of their targets.
 */
record PerformancePage(Path root) {

    private static final Path DOCS = Path.of("docs");
    static final Path PAGE = DOCS.resolve("performance.md");

    /** Replaces the section of a part, its plots, and the summary. */
    void write(String name, String measuredBy, Disturbance disturbance, PartReport report) throws IOException {
        String targets = report.targets().stream().map(Target::toString).collect(Collectors.joining("\n"));
        String part = "Measured on " + Machine.describe() + ",\nby `" + measuredBy + "`.\n"
                + disturbance.describe() + ".\n\n"
                + report.text().strip() + "\n\n```text\n" + targets + "\n```\n";
        Files.writeString(root.resolve(PAGE), section(" " + name).replaced(root, part));
        Files.writeString(root.resolve(PAGE), section("").replaced(root, summary()));
        for (Map.Entry<String, Plot> plot : report.plots().entrySet()) {
            Files.writeString(
                    root.resolve(DOCS).resolve(PartReport.svg(plot.getKey())),
                    plot.getValue().svg());
        }
    }

    /** Returns the summary of all targets on the page, whenever each was measured. */
    String summary() throws IOException {
        List<String> targets;
        try (var lines = Files.lines(root.resolve(PAGE))) {
            targets = lines.filter(line -> line.startsWith("target ")).toList();
        }
        // Must not look like the line of a target, or it would be counted as one.
        String missed = targets.stream()
                .filter(line -> line.endsWith(" missed"))
                .map(line -> line.replaceFirst("^target (\\S+) (.*) missed$", "- `$1` $2\n"))
                .collect(Collectors.joining());
        long met = targets.stream().filter(line -> line.endsWith(" met")).count();
        String counts = met + " of " + targets.size() + " targets are met.";
        return missed.isEmpty() ? counts + "\n" : counts + " These are missed:\n\n" + missed;
    }

    private static GeneratedSection section(String suffix) {
        return new GeneratedSection(PAGE, "short|long" + suffix);
    }
}
