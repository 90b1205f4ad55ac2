package io.ksm4j.samples.tenants;

import io.ksm4j.plot.Plot;
import io.ksm4j.plot.Plot.Axis;
import io.ksm4j.plot.Plot.Line;
import io.ksm4j.plot.Plot.Panel;
import io.ksm4j.plot.Plot.Point;
import io.ksm4j.samples.tenants.Run.Arrival;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Tables, targets and the plot. */
final class Report {

    private static final double GOAL = 0.03;
    private static final double MEBIBYTE = 1 << 20;

    private final long size;
    private final List<Run> runs = new ArrayList<>();

    /** For tenants with data of so many bytes each. */
    Report(long size) {
        this.size = size;
    }

    void add(Run run) {
        runs.add(run);
        System.out.printf("%n%s, %s%n", run.place.label(), run.way.label());
        System.out.println("tenants   data asked for   used for data   all memory   last tenant costs");
        for (Arrival arrival : run.arrivals) {
            System.out.printf(
                    Locale.ROOT,
                    "%7d   %10.1f MiB   %9.1f MiB   %6.1f MiB   %15.1f %%%s%n",
                    arrival.tenants(),
                    arrival.tenants() * size / MEBIBYTE,
                    arrival.memory().data() / MEBIBYTE,
                    arrival.memory().all() / MEBIBYTE,
                    100 * share(arrival),
                    arrival.isSettled() ? "" : "   (the time was up: more might have merged)");
        }
    }

    private double share(Arrival arrival) {
        return (double) arrival.cost() / size;
    }

    void printTargets() {
        System.out.println();
        for (Run run : runs) {
            if (run.way == Way.KSM4J) {
                double dearest = run.arrivals.stream()
                        .skip(1)
                        .mapToDouble(this::share)
                        .max()
                        .orElseThrow();
                System.out.printf(
                        Locale.ROOT,
                        "target tenants.further-tenant-%s measured %.4g goal %s %s%n",
                        run.place.name().toLowerCase(Locale.ROOT).replace("_", ""),
                        dearest,
                        GOAL,
                        dearest <= GOAL ? "met" : "missed");
            }
        }
    }

    String svg() {
        double seconds = runs.stream()
                .mapToDouble(run -> run.samples.get(run.samples.size() - 1).seconds())
                .max()
                .orElseThrow();
        double most = runs.stream()
                .flatMap(run -> run.samples.stream())
                .mapToDouble(sample -> sample.memory().data() / MEBIBYTE)
                .max()
                .orElseThrow();
        List<Panel> panels = new ArrayList<>();
        for (Place place : Place.values()) {
            List<Line> lines = runs.stream()
                    .filter(run -> run.place == place)
                    .map(Report::line)
                    .toList();
            panels.add(new Panel(new Axis("MiB used for data, tenants are " + place.label(), 0, most, false), lines));
        }
        return new Plot(
                        String.format(
                                Locale.ROOT, "Tenants arrive, each with the same %.0f MiB of data", size / MEBIBYTE),
                        new Axis("seconds", 0, seconds, false),
                        panels)
                .svg();
    }

    private static Line line(Run run) {
        return new Line(
                run.way.label(),
                run.samples.stream()
                        .map(sample ->
                                new Point(sample.seconds(), sample.memory().data() / MEBIBYTE))
                        .toList());
    }
}
