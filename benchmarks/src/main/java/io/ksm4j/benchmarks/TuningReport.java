package io.ksm4j.benchmarks;

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
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/** Plot, table and targets, all from the samples: nothing in the documents is typed by hand. */
record TuningReport(String machine, List<TuningSample> samples) {

    private static final Path CSV = Path.of("docs", "data", "tuning.csv");
    private static final Path SVG = Path.of("docs", "tuning.svg");
    private static final MeasuredPart PART = new MeasuredPart(Path.of("docs", "tuning.md"), "tuning");

    private static final double FIRST_SECOND = 0.1;
    private static final double LAST_SECOND = 200;

    /** The time over which an idle {@code ksmd} is watched. */
    private static final double AT_THE_END = 10;

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
        // What the data says with its digits, so that the documents can be made from it again.
        Files.createDirectories(root.resolve(CSV).getParent());
        Files.writeString(root.resolve(CSV), csv());
        TuningReport rounded = parse(csv());
        String page = rounded.page(root);
        Files.writeString(root.resolve(SVG), rounded.svg());
        Files.writeString(root.resolve(PART.page()), page);
    }

    /** The page with its measured part replaced. */
    String page(Path root) throws IOException {
        return PART.replaced(root, table());
    }

    String svg() {
        List<Line> saved = new ArrayList<>();
        List<Line> cpu = new ArrayList<>();
        for (TuningDriver driver : TuningDriver.values()) {
            // Lies between the others, and says nothing more.
            if (driver == TuningDriver.CONVERGE_HALF) {
                continue;
            }
            List<TuningSample> run = run(driver.label(), 1);
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
                                new Panel(new Axis("saved, % of what can be", 0, 100, false), saved),
                                new Panel(new Axis("ksmd, % of one core", 0, 100, false), cpu)))
                .svg();
    }

    private static List<Point> shares(List<TuningSample> run) {
        List<Point> points = new ArrayList<>();
        TuningSample from = run.get(0);
        for (TuningSample sample : run) {
            // Shorter times than a few of its cycles show when it slept, and not how much.
            if (sample.seconds() - from.seconds() >= Math.max(0.1, from.seconds() / 4)) {
                points.add(new Point(
                        (sample.seconds() + from.seconds()) / 2, 100 * share(from, sample, TuningSample::ksmdSeconds)));
                from = sample;
            }
        }
        return points;
    }

    private static double share(TuningSample from, TuningSample to, ToDoubleFunction<TuningSample> time) {
        return (time.applyAsDouble(to) - time.applyAsDouble(from)) / (to.seconds() - from.seconds());
    }

    String table() {
        StringBuilder table = new StringBuilder();
        table.append("Measured on ").append(machine).append(".\n\n");
        table.append(
                "| Driven by | 99 % saved after | CPU of `ksmd` until then | at the end | of the tuner at the end |\n");
        table.append("| --- | --- | --- | --- | --- |\n");
        for (TuningDriver driver : TuningDriver.values()) {
            List<TuningSample> run = run(driver.label(), 1);
            TuningSample last = run.get(run.size() - 1);
            TuningSample late = late(run);
            Optional<TuningSample> merged = merged(driver, 1);
            table.append(String.format(
                    Locale.ROOT,
                    "| %s | %s | %s | %s | %s |%n",
                    driver.label(),
                    merged.map(sample -> String.format(Locale.ROOT, "%.2f s", sample.seconds()))
                            .orElse(String.format(Locale.ROOT, "not in %.0f s", last.seconds())),
                    percent(merged.orElse(last).ksmdSeconds()
                            / merged.orElse(last).seconds()),
                    percent(share(late, last, TuningSample::ksmdSeconds)),
                    last.tunerSeconds() == 0 ? "" : percent(share(late, last, TuningSample::tunerSeconds))));
        }
        table.append("\n");
        targets().forEach(target -> table.append("    ").append(target).append('\n'));
        return table.toString();
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, share < 0.1 ? "%.2f %%" : "%.0f %%", 100 * share);
    }

    List<Target> targets() {
        List<TuningSample> run = run(TuningDriver.CONVERGE.label(), 1);
        TuningSample last = run.get(run.size() - 1);
        return List.of(
                Target.atMost(
                        "tuning.converge-to-full-tilt",
                        median(TuningDriver.CONVERGE) / median(TuningDriver.FULL_TILT),
                        1.15),
                Target.atMost("tuning.idle-after-a-minute", share(late(run), last, TuningSample::ksmdSeconds), 0.02),
                Target.atMost("tuning.over-budget-0.5", overBudget(TuningDriver.CONVERGE_HALF, 0.5), 0.1),
                Target.atMost("tuning.over-budget-0.2", overBudget(TuningDriver.CONVERGE_FIFTH, 0.2), 0.1));
    }

    private static TuningSample late(List<TuningSample> run) {
        double last = run.get(run.size() - 1).seconds();
        return run.stream()
                .filter(sample -> sample.seconds() <= last - AT_THE_END)
                .reduce((first, second) -> second)
                .orElse(run.get(0));
    }

    private double median(TuningDriver driver) {
        double[] times = samples.stream()
                .filter(sample -> sample.driver().equals(driver.label()))
                .mapToInt(TuningSample::round)
                .distinct()
                .mapToDouble(round ->
                        merged(driver, round).map(TuningSample::seconds).orElse(Double.NaN))
                .sorted()
                .toArray();
        return times.length % 2 == 1
                ? times[times.length / 2]
                : Arrays.stream(times, times.length / 2 - 1, times.length / 2 + 1)
                        .average()
                        .orElse(Double.NaN);
    }

    /** How far the share taken until all was merged is above the budget, as a part of the budget. */
    private double overBudget(TuningDriver driver, double budget) {
        return merged(driver, 1)
                .map(sample -> sample.ksmdSeconds() / sample.seconds() / budget - 1)
                .orElse(Double.NaN);
    }

    private Optional<TuningSample> merged(TuningDriver driver, int round) {
        return run(driver.label(), round).stream()
                .filter(sample -> sample.saved() >= Tuning.ALL)
                .findFirst();
    }

    private List<TuningSample> run(String driver, int round) {
        return samples.stream()
                .filter(sample -> sample.round() == round && sample.driver().equals(driver))
                .toList();
    }
}
