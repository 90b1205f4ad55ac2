package io.ksm4j.benchmarks;

import io.ksm4j.plot.Plot;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** {@code docs/performance.md}, below a root: a measured part for each part, and one that sums up their targets. */
record PerformancePage(Path root) {

    private static final Path DOCS = Path.of("docs");
    private static final Path PAGE = DOCS.resolve("performance.md");

    /** Replaces a part, its plots, and the sum. */
    void write(String name, String measuredBy, PartReport report) throws IOException {
        String targets = report.targets().stream().map(Target::toString).collect(Collectors.joining("\n"));
        String part = "Measured on " + Machine.describe() + ", by `" + measuredBy + "`.\n\n"
                + report.text().strip() + "\n\n```text\n" + targets + "\n```\n";
        Files.writeString(root.resolve(PAGE), measuredPart(" " + name).replaced(root, part));
        Files.writeString(root.resolve(PAGE), measuredPart("").replaced(root, sum()));
        for (Map.Entry<String, Plot> plot : report.plots().entrySet()) {
            Files.writeString(
                    root.resolve(DOCS).resolve(PartReport.svg(plot.getKey())),
                    plot.getValue().svg());
        }
    }

    /** Of the targets that stand on the page, whenever each was measured. */
    String sum() throws IOException {
        List<String> targets;
        try (var lines = Files.lines(root.resolve(PAGE))) {
            targets = lines.filter(line -> line.startsWith("target ")).toList();
        }
        // In other words than a target's own line has, or it would be counted, too.
        String missed = targets.stream()
                .filter(line -> line.endsWith(" missed"))
                .map(line -> line.replaceFirst("^target (\\S+) (.*) missed$", "- `$1` $2\n"))
                .collect(Collectors.joining());
        long met = targets.stream().filter(line -> line.endsWith(" met")).count();
        String sum = met + " of " + targets.size() + " targets are met.";
        return missed.isEmpty() ? sum + "\n" : sum + " These are not:\n\n" + missed;
    }

    private static MeasuredPart measuredPart(String of) {
        return new MeasuredPart(PAGE, "short|long" + of);
    }
}
