// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

import io.ksm4j.plot.Plot;
import io.ksm4j.plot.Plot.Axis;
import io.ksm4j.plot.Plot.Line;
import io.ksm4j.plot.Plot.Panel;
import io.ksm4j.plot.Plot.Point;
import io.ksm4j.samples.tenants.TenantRun.Arrival;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/** Prints the tables and targets, and draws the plots. */
final class TenantReport {

    private static final double GOAL = 0.03;
    private static final double MEBIBYTE = 1 << 20;

    private final long size;
    private final List<TenantRun> runs = new ArrayList<>();

    /** Creates a report for tenants with {@code size} bytes of data each. */
    TenantReport(long size) {
        this.size = size;
    }

    void add(TenantRun run) {
        runs.add(run);
        System.out.printf("%n%s, %s%n", run.host.label(), run.variant.label());
        System.out.println("tenants   data requested   used for data   all memory   last tenant costs");
        for (Arrival arrival : run.arrivals) {
            System.out.printf(
                    Locale.ROOT,
                    "%7d   %10.1f MiB   %9.1f MiB   %6.1f MiB   %15.1f %%%s%n",
                    arrival.tenants(),
                    arrival.tenants() * size / MEBIBYTE,
                    arrival.memory().data() / MEBIBYTE,
                    arrival.memory().all() / MEBIBYTE,
                    100 * share(arrival),
                    arrival.isSettled() ? "" : "   (limit reached: more might have merged)");
        }
    }

    private double share(Arrival arrival) {
        return (double) arrival.cost() / size;
    }

    void printTargets() {
        System.out.println();
        for (TenantRun run : runs) {
            if (run.variant == StorageVariant.KSM4J) {
                double maxShare = run.arrivals.stream()
                        .skip(1)
                        .mapToDouble(this::share)
                        .max()
                        .orElseThrow();
                System.out.printf(
                        Locale.ROOT,
                        "target tenants.further-tenant-%s measured %.4g goal %s %s%n",
                        run.host.name().toLowerCase(Locale.ROOT).replace("_", ""),
                        maxShare,
                        GOAL,
                        maxShare <= GOAL ? "met" : "missed");
            }
        }
    }

    String svgByTenants() {
        int tenants = runs.get(0).arrivals.size();
        return svg(
                "Memory used for tenants, each with the same %.0f MiB of data",
                new Axis("tenants", 0, tenants, false), runs, TenantReport::pointsByTenants);
    }

    /** Returns the plot of the variants that merge. The others would stretch both axes. */
    String svgOverTime() {
        List<TenantRun> merging =
                runs.stream().filter(run -> run.variant.merges()).toList();
        double seconds = merging.stream()
                .mapToDouble(run -> run.samples.get(run.samples.size() - 1).seconds())
                .max()
                .orElseThrow();
        return svg(
                "Tenants arrive, each with the same %.0f MiB of data",
                new Axis("seconds", 0, seconds, false), merging, TenantReport::pointsOverTime);
    }

    private String svg(String title, Axis x, List<TenantRun> drawn, Function<TenantRun, List<Point>> points) {
        double maxMebibytes = drawn.stream()
                .flatMap(run -> points.apply(run).stream())
                .mapToDouble(Point::y)
                .max()
                .orElseThrow();
        List<Panel> panels = new ArrayList<>();
        for (TenantHost host : TenantHost.values()) {
            List<Line> lines = drawn.stream()
                    .filter(run -> run.host == host)
                    .map(run -> new Line(run.variant.label(), points.apply(run)))
                    .toList();
            panels.add(new Panel(
                    new Axis("MiB used for data, tenants are " + host.label(), 0, maxMebibytes, false), lines));
        }
        return new Plot(String.format(Locale.ROOT, title, size / MEBIBYTE), x, panels).svg();
    }

    private static List<Point> pointsByTenants(TenantRun run) {
        List<Point> points = new ArrayList<>(List.of(new Point(0, 0)));
        run.arrivals.forEach(arrival ->
                points.add(new Point(arrival.tenants(), arrival.memory().data() / MEBIBYTE)));
        return points;
    }

    private static List<Point> pointsOverTime(TenantRun run) {
        return run.samples.stream()
                .map(sample -> new Point(sample.seconds(), sample.memory().data() / MEBIBYTE))
                .toList();
    }
}
