// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.plot.Plot;
import io.ksm4j.plot.Plot.Axis;
import io.ksm4j.plot.Plot.Line;
import io.ksm4j.plot.Plot.Panel;
import io.ksm4j.plot.Plot.Point;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.DoubleSummaryStatistics;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;

/**
 * The results of {@link ConvergenceBenchmark}.
 *
 * @param reference the data set that the targets refer to, measured with all drivers
 * @param limit the limit for the slow drivers
 * @param rows the rows in the order of the table; each data set has a row of full tilt
 */
record ConvergenceReport(DataSet reference, Duration limit, List<ConvergenceRow> rows) {

    private static final Axis SECONDS = new Axis("seconds until 99 % are merged", 0.1, 1000, true);

    PartReport report() {
        Map<String, Plot> plots = Map.of(
                "convergence-size",
                plot(
                        "Time by size: " + reference.copies() + " copies, nothing unique",
                        new Axis("GiB, all copies together", 0.1, 10, true),
                        DataSet::gib,
                        data -> data.copies() == reference.copies() && data.unique() == reference.unique()),
                "convergence-copies",
                plot(
                        "Time by copies: " + reference.gib() + " GiB, nothing unique",
                        new Axis("copies", 1, 100, true),
                        DataSet::copies,
                        data -> data.size() == reference.size() && data.unique() == reference.unique()),
                "convergence-unique",
                plot(
                        "Time by unique share: " + reference.gib() + " GiB in " + reference.copies() + " copies",
                        new Axis("unique pages, %", 0, 100, false),
                        data -> 100 * data.unique(),
                        data -> data.size() == reference.size() && data.copies() == reference.copies()));
        return new PartReport(text(), plots, targets());
    }

    private Plot plot(String title, Axis x, ToDoubleFunction<DataSet> of, Predicate<DataSet> isShown) {
        List<Line> lines = new ArrayList<>();
        for (TuningDriver driver : TuningDriver.values()) {
            List<Point> points = rows.stream()
                    .filter(row -> row.driver() == driver && isShown.test(row.data()))
                    .flatMap(row -> row.seconds().stream()
                            .mapToObj(seconds -> new Point(of.applyAsDouble(row.data()), seconds)))
                    .sorted(Comparator.comparingDouble(Point::x))
                    .toList();
            // A single point does not make a line.
            if (points.size() > 1) {
                lines.add(new Line(driver.label(), points));
            }
        }
        return new Plot(title, x, List.of(new Panel(SECONDS, lines)));
    }

    private String text() {
        StringBuilder text = new StringBuilder();
        text.append("| GiB | copies | unique | driver | 99 % merged after | relative to full tilt |"
                + " `ksmd` CPU until then | at rest after another | `ksmd` share at the end | tuner CPU until then |"
                + " tuner share at the end | MiB saved |\n");
        text.append("| --- ".repeat(12)).append("|\n");
        for (ConvergenceRow row : rows) {
            TuningSample until = row.median().mergedOrLast();
            boolean hasTuner = until.tunerSeconds() > 0;
            text.append(String.format(
                    Locale.ROOT,
                    "| %s | %d | %.0f %% | %s | %s | %s | %.2f s | %s | %s | %s | %s | %.0f |%n",
                    row.data().gib(),
                    row.data().copies(),
                    100 * row.data().unique(),
                    row.driver().label(),
                    time(row),
                    row.driver() == TuningDriver.FULL_TILT ? "" : exactOrLowerBound(row, timesFullTilt(row)),
                    until.ksmdSeconds(),
                    row.watched()
                            .filter(run -> hasTuner)
                            .map(run -> run.secondsToRest().isPresent()
                                    ? digits(run.secondsToRest().getAsDouble()) + " s"
                                    : "not in time")
                            .orElse(""),
                    row.watched().map(run -> percent(run.idleKsmdShare())).orElse(""),
                    hasTuner ? String.format(Locale.ROOT, "%.2f s", until.tunerSeconds()) : "",
                    row.watched()
                            .filter(run -> hasTuner)
                            .map(run -> percent(run.idleTunerShare()))
                            .orElse(""),
                    row.savedMib()));
        }
        double[] ratios = rows.stream()
                .filter(row -> row.driver() == TuningDriver.CONVERGE)
                .mapToDouble(this::timesFullTilt)
                .sorted()
                .toArray();
        text.append(String.format(
                Locale.ROOT,
                """

                No settings are faster than full tilt, or merge new data with less CPU time: `ksmd` never sleeps, and it
                merges in the second scan, the first one in which the kernel compares a new page. So on this machine,
                nothing can be more than %.2f times as fast as `ksmtuned` at maximum. %s also has to scan everything
                twice. Until then, it used %.2f times the CPU time of full tilt; unlike full tilt, it stops then.
                """,
                row(TuningDriver.KSMTUNED_MAX).secondsOrLimit()
                        / row(TuningDriver.FULL_TILT).secondsOrLimit(),
                TuningDriver.CONVERGE.label(),
                ksmdSeconds(row(TuningDriver.CONVERGE)) / ksmdSeconds(row(TuningDriver.FULL_TILT))));
        text.append(String.format(
                Locale.ROOT,
                """

                The targets refer to %s. There, full tilt and %s were measured in turn, %d rounds
                each, and the median counts. Over all data sets, %2$s took %.2f to %.2f times as long as full tilt,
                with a median of %.2f. A
                `>` marks a run of another driver that was stopped early, after %s s at the latest; the share merged by
                then is in parentheses. These drivers were not run on every data set, because they take minutes for a
                large one.

                ![Time by size](%s)

                ![Time by number of copies](%s)

                ![Time by share of unique pages](%s)
                """,
                reference,
                TuningDriver.CONVERGE.label(),
                row(TuningDriver.CONVERGE).runs().size(),
                ratios[0],
                ratios[ratios.length - 1],
                ratios[ratios.length / 2],
                digits(limit.toMillis() / 1000.0),
                PartReport.svg("convergence-size"),
                PartReport.svg("convergence-copies"),
                PartReport.svg("convergence-unique")));
        return text.append(constants()).toString();
    }

    /** Returns the table and constants that the page on operations calculates with; empty if nothing was merged. */
    private String constants() {
        List<ConvergenceRow> merged = rows.stream()
                .filter(row ->
                        row.driver() == TuningDriver.CONVERGE && row.seconds().isPresent())
                .toList();
        if (merged.isEmpty()) {
            return "";
        }
        StringBuilder text = new StringBuilder();
        text.append(String.format(
                Locale.ROOT, """

                The next table shows the CPU time of `ksmd` with %s until 99 %% was merged, per GiB marked, as minimum
                and maximum over all sizes, and its share of a core after everything was merged. The constants, which
                [sizing](operations.md#sizing) uses, are those of %d copies with %.0f %% unique, over all sizes.

                | copies | unique | GiB | s per GiB | share at the end |
                | --- | --- | --- | --- | --- |
                """, TuningDriver.CONVERGE.label(), reference.copies(), 100 * reference.unique()));
        Map<String, List<ConvergenceRow>> byKind = merged.stream()
                .collect(Collectors.groupingBy(
                        row -> String.format(
                                Locale.ROOT,
                                "%d | %.0f %%",
                                row.data().copies(),
                                100 * row.data().unique()),
                        LinkedHashMap::new,
                        Collectors.toList()));
        byKind.forEach((kind, same) -> text.append(String.format(
                Locale.ROOT,
                "| %s | %s | %s | %s |%n",
                kind,
                range("%.2f", same.stream().mapToDouble(row -> row.data().gib())),
                range("%.2f", same.stream().mapToDouble(ConvergenceReport::ksmdSecondsOfAGib)),
                range("%.2f %%", idleShares(same).map(share -> 100 * share)))));
        List<ConvergenceRow> ofReference = merged.stream()
                .filter(row ->
                        row.data().copies() == reference.copies() && row.data().unique() == reference.unique())
                .toList();
        double seconds =
                ofReference.stream().mapToDouble(ConvergenceReport::ksmdSeconds).sum();
        double gib = ofReference.stream().mapToDouble(row -> row.data().gib()).sum();
        return text.append(String.format(
                        Locale.ROOT,
                        """

                            constant convergence-ksmd-seconds-a-gib %.2f
                            constant convergence-idle-core %.4f
                        """,
                        seconds / gib,
                        idleShares(ofReference).max().orElse(Double.NaN)))
                .toString();
    }

    private static double ksmdSeconds(ConvergenceRow row) {
        return row.median().mergedOrLast().ksmdSeconds();
    }

    private static double ksmdSecondsOfAGib(ConvergenceRow row) {
        return ksmdSeconds(row) / row.data().gib();
    }

    private static DoubleStream idleShares(List<ConvergenceRow> rows) {
        return rows.stream().flatMap(row -> row.watched().stream()).mapToDouble(TuningRun::idleKsmdShare);
    }

    /**
     * Returns the minimum and maximum, only one number if they are equal, or an empty string if there are no values.
     */
    private static String range(String format, DoubleStream values) {
        DoubleSummaryStatistics all = values.summaryStatistics();
        if (all.getCount() == 0) {
            return "";
        }
        String min = String.format(Locale.ROOT, format, all.getMin());
        String max = String.format(Locale.ROOT, format, all.getMax());
        return min.equals(max) ? min : min + " to " + max;
    }

    private static String time(ConvergenceRow row) {
        TuningSample until = row.median().mergedOrLast();
        String time = digits(until.seconds()) + " s";
        return row.seconds().isPresent()
                ? time
                : String.format(Locale.ROOT, "> %s (%.0f %%)", time, 100 * until.saved());
    }

    private static String exactOrLowerBound(ConvergenceRow row, double times) {
        return String.format(Locale.ROOT, row.seconds().isPresent() ? "%.2f" : "> %.0f", times);
    }

    private static String digits(double value) {
        return String.format(Locale.ROOT, "%.3f", value).replaceFirst("\\.?0+$", "");
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, "%.2f %%", 100 * share);
    }

    private double timesFullTilt(ConvergenceRow row) {
        return row.secondsOrLimit() / row(row.data(), TuningDriver.FULL_TILT).secondsOrLimit();
    }

    private ConvergenceRow row(DataSet data, TuningDriver driver) {
        return rows.stream()
                .filter(row -> row.data().equals(data) && row.driver() == driver)
                .findFirst()
                .orElseThrow();
    }

    private ConvergenceRow row(TuningDriver driver) {
        return row(reference, driver);
    }

    private List<Target> targets() {
        // An unfinished run has only a lower bound, which cannot be the divisor of a minimum.
        double tuner = row(TuningDriver.CONVERGE).seconds().orElse(Double.NaN);
        double fullTilt = row(TuningDriver.FULL_TILT).seconds().orElse(Double.NaN);
        double worst = rows.stream()
                .filter(row -> row.driver() == TuningDriver.CONVERGE)
                .mapToDouble(this::timesFullTilt)
                .max()
                .orElse(Double.NaN);
        double idle = idleShares(rows.stream()
                        .filter(row -> row.driver() == TuningDriver.CONVERGE)
                        .toList())
                .max()
                .orElse(Double.NaN);
        double rest = rows.stream()
                .filter(row -> row.driver() == TuningDriver.CONVERGE)
                .flatMap(row -> row.watched().stream())
                .mapToDouble(TuningRun::secondsToRestOrLeft)
                .max()
                .orElse(Double.NaN);
        return List.of(
                Target.maximum("convergence-to-full-tilt", tuner / fullTilt, 1.1),
                Target.minimum(
                        "convergence-default-to-tuner",
                        row(TuningDriver.DEFAULT).secondsOrLimit() / tuner,
                        50),
                Target.minimum(
                        "convergence-ksmtuned-to-tuner",
                        row(TuningDriver.KSMTUNED).secondsOrLimit() / tuner,
                        4),
                Target.minimum(
                        "convergence-ksmtuned-at-maximum-to-tuner",
                        row(TuningDriver.KSMTUNED_MAX).secondsOrLimit() / tuner,
                        4),
                Target.maximum("convergence-idle-core", idle, 0.02),
                Target.maximum("convergence-to-full-tilt-at-worst", worst, 1.15),
                Target.maximum("convergence-seconds-to-rest", rest, 20));
    }
}
