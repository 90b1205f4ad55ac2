// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import io.ksm4j.plot.Plot;
import io.ksm4j.plot.Plot.Axis;
import io.ksm4j.plot.Plot.Line;
import io.ksm4j.plot.Plot.Panel;
import io.ksm4j.plot.Plot.Point;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.tools.output.ByteCount;
import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.status.MachineStatus;
import io.ksm4j.tools.status.ProcessInfo;
import io.ksm4j.tools.status.Processes;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.locks.ReentrantLock;
import org.jline.utils.AttributedString;
import org.jline.utils.AttributedStyle;
import org.jspecify.annotations.Nullable;

/** The view of {@code ksm watch}. */
final class WatchView implements LiveView {

    private static final double MIB = 1 << 20;
    private static final double NANOS = 1e9;

    /** The labels of the two plots, and the time axis. */
    private static final int ROWS_AROUND_BARS = 3;

    private static final String ROW = "%-8s %11s %11s %11s %8s%n";

    /** One sample of the process or the machine. */
    private record Reading(Sample sample, OptionalLong merged, OptionalLong profit) {

        OptionalLong cost() {
            return MachineStatus.costBytes(merged, profit);
        }
    }

    /** Held to write what {@link #lines} and {@link #svg} read. */
    private final ReentrantLock lock = new ReentrantLock();

    private final Sampler sampler = new Sampler();
    private final TerminalFormat format = TerminalFormat.ofThisTerminal();
    private final Optional<ProcessInfo> process;

    /** Identifies the process, even if another one gets its PID later. */
    private final Optional<ProcessHandle> handle;

    private final double interval;
    private final long start = System.nanoTime();
    private final TimeSeries merged = new TimeSeries();
    private final TimeSeries cost = new TimeSeries();
    private final TimeSeries percent = new TimeSeries();

    private @Nullable Reading reading;
    private double elapsed;
    private boolean hasEnded;
    private boolean hasHeading;

    /**
     * Watches a process or, if there is no PID, the machine. The interval is in seconds.
     *
     * @throws UncheckedIOException if there is no such process, or no permission to read it
     * @throws CommandFailedException if the kernel provides no counters for it
     */
    WatchView(Optional<Long> pid, double interval) {
        this.interval = interval;
        this.handle = pid.flatMap(ProcessHandle::of);
        this.process = pid.map(Processes::read);
        if (process.filter(info -> info.stats().mergedBytes().isEmpty()).isPresent()) {
            throw new CommandFailedException("there are no counters for process " + pid.get()
                    + ": it has ended, is a kernel thread, or this is Linux before 5.19");
        }
    }

    @Override
    public boolean update() {
        Sample sample = sampler.next();
        OptionalLong saved = sample.machine().savedBytes();
        OptionalLong profit = sample.machine().profitBytes();
        if (process.isPresent()) {
            Optional<ProcessKsmStats> stats = read(process.get().pid());
            if (stats.isEmpty()) {
                hasEnded = true;
                return false;
            }
            saved = stats.get().mergedBytes();
            profit = stats.get().profitBytes();
        }
        add(new Reading(sample, saved, profit));
        return true;
    }

    /** Reads the process; empty if it has ended. A zombie counts as ended: it has no memory. */
    private Optional<ProcessKsmStats> read(long pid) {
        if (!isAlive()) {
            return Optional.empty();
        }
        try {
            return Optional.of(Processes.stats(pid))
                    .filter(stats -> stats.mergedBytes().isPresent());
        } catch (UncheckedIOException e) {
            if (isAlive()) {
                throw e;
            }
            return Optional.empty();
        }
    }

    private boolean isAlive() {
        return handle.filter(ProcessHandle::isAlive).isPresent();
    }

    private void add(Reading next) {
        lock.lock();
        try {
            reading = next;
            elapsed = (System.nanoTime() - start) / NANOS;
            next.merged().ifPresent(bytes -> merged.add(elapsed, (double) bytes));
            next.cost().ifPresent(bytes -> cost.add(elapsed, (double) bytes));
            next.sample().ksmdPercent().ifPresent(value -> percent.add(elapsed, value));
        } finally {
            lock.unlock();
        }
    }

    private String title() {
        return process.map(info -> info.pid() + " " + info.name()).orElse("this machine");
    }

    /**
     * Returns the name of the saving. A process shares its merged pages with others; the machine does not have what it
     * saves.
     */
    private String what() {
        return process.isPresent() ? "merged" : "saved";
    }

    /** Returns why the view has ended; empty if it has not. */
    Optional<String> end() {
        return hasEnded ? Optional.of("process " + title() + " has ended") : Optional.empty();
    }

    @Override
    public List<AttributedString> lines(int rows, int columns) {
        lock.lock();
        try {
            return reading == null ? List.of() : lines(reading, rows, columns);
        } finally {
            lock.unlock();
        }
    }

    private List<AttributedString> lines(Reading reading, int rows, int columns) {
        List<AttributedString> lines = new ArrayList<>();
        TerminalFormat.flow(lines, columns, List.of(title(), "every " + TerminalFormat.seconds(interval), "q quits"));
        TerminalFormat.flow(
                lines,
                columns,
                List.of(
                        what() + " " + ByteCount.text(reading.merged()),
                        "cost " + ByteCount.text(reading.cost()),
                        "profit " + ByteCount.text(reading.profit()),
                        "ksmd " + TerminalFormat.percent(reading.sample().ksmdPercent()) + " CPU"));
        int bars = Math.max(2, rows - lines.size() - ROWS_AROUND_BARS);
        // Until the screen is full, each sample has a column.
        double span = Math.max(elapsed, columns * interval);
        lines.add(new AttributedString(what() + ", up to " + TerminalFormat.bytes(merged.max())));
        lines.addAll(format.plot(
                merged.columns(columns, span), merged.max().orElse(0), bars - bars / 3, AttributedStyle.GREEN));
        lines.add(new AttributedString("CPU of ksmd, up to " + TerminalFormat.percent(percent.max())));
        lines.addAll(format.plot(
                percent.columns(columns, span),
                percent.max().orElse(0),
                Math.max(1, bars / 3),
                AttributedStyle.YELLOW));
        String end = TerminalFormat.seconds(span);
        lines.add(new AttributedString("0 s" + " ".repeat(Math.max(1, columns - 3 - end.length())) + end));
        return lines;
    }

    @Override
    public void print() {
        if (reading == null) {
            return;
        }
        if (!hasHeading) {
            hasHeading = true;
            System.out.printf(ROW, "TIME", what().toUpperCase(Locale.ROOT), "COST", "PROFIT", "KSMD");
        }
        System.out.printf(
                ROW,
                TopView.time(reading.sample()),
                ByteCount.text(reading.merged()),
                ByteCount.text(reading.cost()),
                ByteCount.text(reading.profit()),
                TerminalFormat.percent(reading.sample().ksmdPercent()));
    }

    /** Returns the current plot; empty if there is nothing to plot yet. */
    Optional<String> svg() {
        lock.lock();
        try {
            return reading == null ? Optional.empty() : Optional.of(plot());
        } finally {
            lock.unlock();
        }
    }

    private String plot() {
        Axis time = new Axis("time, s", 0, Math.max(elapsed, interval), false);
        List<Panel> panels = List.of(
                panel(what() + ", MiB", merged, MIB),
                panel("cost of the kernel's records, MiB", cost, MIB),
                panel("CPU of ksmd, % of a processor", percent, 1));
        return new Plot("What merging does for " + title(), time, panels).svg();
    }

    private Panel panel(String label, TimeSeries series, double unit) {
        double top = series.max().orElse(0) / unit;
        List<Point> points = series.points().stream()
                .map(point -> new Point(point.x(), point.y() / unit))
                .toList();
        return new Panel(new Axis(label, 0, top > 0 ? top : 1, false), List.of(new Line(title(), points)));
    }
}
