// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import io.ksm4j.benchmarks.GeneratedSection;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.plot.Plot;
import io.ksm4j.plot.Plot.Axis;
import io.ksm4j.plot.Plot.Line;
import io.ksm4j.plot.Plot.Panel;
import io.ksm4j.plot.Plot.Point;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** The plot, table and targets of the documentation, all generated from the samples. */
record TuningReport(String machine, List<TuningSample> samples) {

    private static final Path CSV = Path.of("docs", "data", "tuning.csv");
    private static final Path SVG = Path.of("docs", "tuning.svg");
    static final Path PAGE = Path.of("docs", "tuning.md");

    private static final GeneratedSection SECTION = new GeneratedSection(PAGE, "tuning");

    private static final double FIRST_SECOND = 0.1;
    private static final double LAST_SECOND = 200;

    static TuningReport read(Path root) throws IOException {
        return parse(Files.readString(root.resolve(CSV)));
    }

    private static TuningReport parse(String csv) {
        List<String> lines = csv.lines().toList();
        return new TuningReport(
                lines.get(0).substring(2),
                lines.stream().skip(2).map(TuningSample::parse).toList());
    }

    private String csv() {
        StringBuilder csv = new StringBuilder("# " + machine + "\n" + TuningSample.HEADER + "\n");
        samples.forEach(sample -> csv.append(sample.csv()).append('\n'));
        return csv.toString();
    }

    void write(Path root) throws IOException {
        // Rounded as in the data file, so that the documentation can be generated from that file again.
        Files.createDirectories(root.resolve(CSV).getParent());
        Files.writeString(root.resolve(CSV), csv());
        TuningReport rounded = parse(csv());
        String page = rounded.page(root);
        Files.writeString(root.resolve(SVG), rounded.svg());
        Files.writeString(root.resolve(SECTION.page()), page);
    }

    /** Returns the text of the page with its generated section replaced. */
    String page(Path root) throws IOException {
        return SECTION.replaced(root, table());
    }

    String svg() {
        List<Line> saved = new ArrayList<>();
        List<Line> cpu = new ArrayList<>();
        for (TuningDriver driver : TuningDriver.values()) {
            // Lies between the other lines and adds no information.
            if (driver == TuningDriver.CONVERGE_HALF) {
                continue;
            }
            List<TuningSample> run = run(driver, 1).samples();
            saved.add(new Line(
                    driver.label(),
                    run.stream()
                            .map(sample -> new Point(sample.seconds(), 100 * sample.saved()))
                            .toList()));
            cpu.add(new Line(driver.label(), shares(run)));
        }
        return new Plot(
                        "1 GiB in four copies, from the moment it is marked",
                        new Axis("seconds", FIRST_SECOND, LAST_SECOND, true),
                        List.of(
                                new Panel(new Axis("saved, % of maximum", 0, 100, false), saved),
                                new Panel(new Axis("ksmd, % of one core", 0, 100, false), cpu)))
                .svg();
    }

    private static List<Point> shares(List<TuningSample> run) {
        List<Point> points = new ArrayList<>();
        TuningSample from = run.get(0);
        for (TuningSample sample : run) {
            // Intervals shorter than a few cycles show when ksmd slept, not how much.
            if (sample.seconds() - from.seconds() >= Math.max(0.1, from.seconds() / 4)) {
                points.add(new Point(
                        (sample.seconds() + from.seconds()) / 2,
                        100 * TuningRun.share(from, sample, TuningSample::ksmdSeconds)));
                from = sample;
            }
        }
        return points;
    }

    String table() {
        StringBuilder table = new StringBuilder();
        table.append("Measured on ").append(machine).append(".\n\n");
        table.append("| Driver | 99 % saved after | `ksmd` CPU until then | `ksmd` at the end | tuner at the end |\n");
        table.append("| --- | --- | --- | --- | --- |\n");
        for (TuningDriver driver : TuningDriver.values()) {
            TuningRun run = run(driver, 1);
            TuningSample until = run.mergedOrLast();
            table.append(String.format(
                    Locale.ROOT,
                    "| %s | %s | %s | %s | %s |%n",
                    driver.label(),
                    String.format(
                            Locale.ROOT, run.merged().isPresent() ? "%.2f s" : "not within %.0f s", until.seconds()),
                    percent(until.ksmdSeconds() / until.seconds()),
                    percent(run.idleKsmdShare()),
                    run.last().tunerSeconds() == 0 ? "" : percent(run.idleTunerShare())));
        }
        table.append("\n");
        targets().forEach(target -> table.append("    ").append(target).append('\n'));
        return table.toString();
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, share < 0.1 ? "%.2f %%" : "%.0f %%", 100 * share);
    }

    List<Target> targets() {
        return List.of(
                Target.maximum(
                        "tuning.converge-to-full-tilt",
                        median(TuningDriver.CONVERGE) / median(TuningDriver.FULL_TILT),
                        1.15),
                Target.maximum(
                        "tuning.idle-after-a-minute",
                        run(TuningDriver.CONVERGE, 1).idleKsmdShare(),
                        0.02),
                Target.maximum("tuning.over-budget-0.5", overBudget(TuningDriver.CONVERGE_HALF, 0.5), 0.1),
                Target.maximum("tuning.over-budget-0.2", overBudget(TuningDriver.CONVERGE_FIFTH, 0.2), 0.1));
    }

    private double median(TuningDriver driver) {
        double[] times = samples.stream()
                .filter(sample -> sample.driver().equals(driver.label()))
                .mapToInt(TuningSample::round)
                .distinct()
                .mapToDouble(round ->
                        run(driver, round).merged().map(TuningSample::seconds).orElse(Double.NaN))
                .sorted()
                .toArray();
        return times.length % 2 == 1
                ? times[times.length / 2]
                : Arrays.stream(times, times.length / 2 - 1, times.length / 2 + 1)
                        .average()
                        .orElse(Double.NaN);
    }

    /** Returns by how much the share used until everything was merged exceeds the budget, relative to the budget. */
    private double overBudget(TuningDriver driver, double budget) {
        return run(driver, 1)
                .merged()
                .map(sample -> sample.ksmdSeconds() / sample.seconds() / budget - 1)
                .orElse(Double.NaN);
    }

    private TuningRun run(TuningDriver driver, int round) {
        return new TuningRun(samples.stream()
                .filter(sample -> sample.round() == round && sample.driver().equals(driver.label()))
                .toList());
    }
}
