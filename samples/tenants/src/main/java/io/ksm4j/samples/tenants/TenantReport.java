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

/** Prints the tables and targets, and draws the plot. */
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

    String svg() {
        double seconds = runs.stream()
                .mapToDouble(run -> run.samples.get(run.samples.size() - 1).seconds())
                .max()
                .orElseThrow();
        double maxMebibytes = runs.stream()
                .flatMap(run -> run.samples.stream())
                .mapToDouble(sample -> sample.memory().data() / MEBIBYTE)
                .max()
                .orElseThrow();
        List<Panel> panels = new ArrayList<>();
        for (TenantHost host : TenantHost.values()) {
            List<Line> lines = runs.stream()
                    .filter(run -> run.host == host)
                    .map(TenantReport::line)
                    .toList();
            panels.add(new Panel(
                    new Axis("MiB used for data, tenants are " + host.label(), 0, maxMebibytes, false), lines));
        }
        return new Plot(
                        String.format(
                                Locale.ROOT, "Tenants arrive, each with the same %.0f MiB of data", size / MEBIBYTE),
                        new Axis("seconds", 0, seconds, false),
                        panels)
                .svg();
    }

    private static Line line(TenantRun run) {
        return new Line(
                run.variant.label(),
                run.samples.stream()
                        .map(sample ->
                                new Point(sample.seconds(), sample.memory().data() / MEBIBYTE))
                        .toList());
    }
}
