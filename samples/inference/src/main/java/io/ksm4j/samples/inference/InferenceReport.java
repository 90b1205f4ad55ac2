// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

import io.ksm4j.plot.Plot;
import io.ksm4j.plot.Plot.Axis;
import io.ksm4j.plot.Plot.Line;
import io.ksm4j.plot.Plot.Panel;
import io.ksm4j.plot.Plot.Point;
import io.ksm4j.samples.inference.MemoryRun.Stage;
import io.ksm4j.samples.inference.MemoryRun.Step;
import io.ksm4j.samples.measurement.MemorySampler.Sample;
import io.ksm4j.samples.measurement.ProcessMemory;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Writes the tables, the targets and the last line, and draws the plot. */
final class InferenceReport {

    private static final double SAVING_GOAL = 0.95;
    private static final double RECORDS_GOAL = 0.4;
    private static final double ANONYMOUS_GOAL = 80;
    private static final double LATENCY_GOAL = 1.02;

    private static final double MEBIBYTE = 1 << 20;

    private final Map<Variant, MemoryRun> runs = new EnumMap<>(Variant.class);

    /** Adds a run and returns its table. The variant without merging must be the first. */
    String add(MemoryRun run) {
        runs.put(run.variant(), run);
        StringBuilder table = new StringBuilder();
        line(table, "%n%s", run.variant().label());
        line(table, "                  seconds   MiB a JVM   MiB in all   MiB saved   records   ksmd, s");
        for (Step step : run.steps()) {
            ProcessMemory all = step.all();
            line(
                    table,
                    "%-16s   %6.1f   %9.1f   %10.1f   %9.1f   %7d   %7.1f",
                    label(step),
                    step.seconds(),
                    all.anonymous() / MEBIBYTE / step.jvms().size(),
                    all.anonymous() / MEBIBYTE,
                    saved(step) / MEBIBYTE,
                    all.records(),
                    step.ksmdTime().toMillis() / 1e3);
        }
        return table.toString();
    }

    private static String label(Step step) {
        return switch (step.merging()) {
            case NOT_AWAITED -> step.stage().label();
            case SETTLED -> "merging settled";
            case LIMIT_REACHED -> "limit reached";
        };
    }

    private static void line(StringBuilder text, String format, Object... arguments) {
        text.append(String.format(Locale.ROOT, format + "%n", arguments));
    }

    private double saved(Step step) {
        long without = runs.get(Variant.WITHOUT).last(step.stage()).all().anonymous();
        return without - step.all().anonymous();
    }

    static String table(LatencyRun run) {
        StringBuilder table = new StringBuilder();
        line(table, "%nlatency of inference, ms%s", run.isSettled() ? "" : " (limit reached: more might have merged)");
        line(table, "                    before: p50      p99   after: p50      p99   p50 to without   p99 to without");
        Latencies without = run.after().get(Variant.WITHOUT);
        run.after()
                .forEach((variant, after) -> line(
                        table,
                        "%-16s   %12.2f   %6.2f   %10.2f   %6.2f   %14.3f   %14.3f",
                        variant.label(),
                        run.before().get(variant).percentile(50),
                        run.before().get(variant).percentile(99),
                        after.percentile(50),
                        after.percentile(99),
                        after.percentile(50) / without.percentile(50),
                        after.percentile(99) / without.percentile(99)));
        return table.toString();
    }

    String targets(LatencyRun latencies) {
        Step whole = runs.get(Variant.WHOLE_PROCESS).last(Stage.HEAP_FILLED);
        Step nativeOnly = runs.get(Variant.NATIVE_ONLY).last(Stage.HEAP_FILLED);
        double saving = saved(nativeOnly) / saved(whole);
        double records = (double) nativeOnly.all().records() / whole.all().records();
        double anonymous = runs.get(Variant.NATIVE_ONLY).last(Stage.MODEL_LOADED).jvms().stream()
                        .mapToLong(ProcessMemory::anonymous)
                        .max()
                        .orElseThrow()
                / MEBIBYTE;
        double latency = latencies.after().get(Variant.NATIVE_ONLY).percentile(99)
                / latencies.after().get(Variant.WITHOUT).percentile(99);
        StringBuilder targets = new StringBuilder();
        target(targets, "saving-to-whole-process", saving, SAVING_GOAL, saving >= SAVING_GOAL);
        target(targets, "records-to-whole-process", records, RECORDS_GOAL, records <= RECORDS_GOAL);
        target(targets, "mebibytes-each", anonymous, ANONYMOUS_GOAL, anonymous <= ANONYMOUS_GOAL);
        target(targets, "p99-to-without", latency, LATENCY_GOAL, latency <= LATENCY_GOAL);
        return targets.toString();
    }

    private static void target(StringBuilder targets, String name, double measured, double goal, boolean isMet) {
        line(
                targets,
                "target inference.native-%s measured %.4g goal %s %s",
                name,
                measured,
                goal,
                isMet ? "met" : "missed");
    }

    String lastLine() {
        Step whole = runs.get(Variant.WHOLE_PROCESS).last(Stage.HEAP_FILLED);
        Step nativeOnly = runs.get(Variant.NATIVE_ONLY).last(Stage.HEAP_FILLED);
        return String.format(
                Locale.ROOT,
                "native only saved %.0f MiB with %d records, the whole process saved %.0f MiB with %d records",
                saved(nativeOnly) / MEBIBYTE,
                nativeOnly.all().records(),
                saved(whole) / MEBIBYTE,
                whole.all().records());
    }

    /** Returns the plot. Where nothing merges nothing changes any more, so that line is drawn to the end. */
    String svg() {
        double seconds = runs.values().stream()
                .mapToDouble(run -> run.samples().get(run.samples().size() - 1).seconds())
                .max()
                .orElseThrow();
        double maxMebibytes = runs.values().stream()
                .flatMap(run -> run.samples().stream())
                .mapToDouble(sample -> sample.memory().anonymous() / MEBIBYTE)
                .max()
                .orElseThrow();
        List<Line> lines = new ArrayList<>();
        for (MemoryRun run : runs.values()) {
            List<Point> points = new ArrayList<>();
            for (Sample sample : run.samples()) {
                points.add(new Point(sample.seconds(), sample.memory().anonymous() / MEBIBYTE));
            }
            if (!run.variant().merges()) {
                points.add(new Point(seconds, points.get(points.size() - 1).y()));
            }
            lines.add(new Line(run.variant().label(), points));
        }
        return new Plot(
                        "JVMs load a model, and then fill their heaps",
                        new Axis("seconds", 0, seconds, false),
                        List.of(new Panel(
                                new Axis("MiB of anonymous memory, all JVMs", 0, maxMebibytes, false), lines)))
                .svg();
    }
}
