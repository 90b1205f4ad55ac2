// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.output.ByteCount;
import io.ksm4j.tools.output.Json;
import io.ksm4j.tools.status.MachineStatus;
import io.ksm4j.tools.status.ProcessInfo;
import io.ksm4j.tools.status.Processes;
import java.io.PrintStream;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.locks.ReentrantLock;
import org.jline.utils.AttributedString;
import org.jline.utils.AttributedStyle;
import org.jspecify.annotations.Nullable;

/** The view of {@code ksm top}. */
final class TopView implements LiveView {

    /** For the name before the bars and the maximum after them. */
    private static final int COLUMNS_AROUND_HISTORY = 18;

    /** The minimum height to show history, and to show details. */
    private static final int ROWS_FOR_HISTORY = 8;

    private static final int ROWS_FOR_DETAILS = 14;

    /** Held to write what {@link #lines} reads. */
    private final ReentrantLock lock = new ReentrantLock();

    private final Sampler sampler = new Sampler();
    private final TerminalFormat format = TerminalFormat.ofThisTerminal();
    private final boolean json;
    private final double interval;
    private final RecentValues saved = new RecentValues();
    private final RecentValues percent = new RecentValues();

    private @Nullable Sample sample;
    private Processes processes = new Processes(List.of(), OptionalInt.of(0));

    /** Prints JSON or text if there is no screen. The interval is in seconds. */
    TopView(boolean json, double interval) {
        this.json = json;
        this.interval = interval;
    }

    @Override
    public boolean update() {
        Sample next = sampler.next();
        Processes found = Processes.read();
        lock.lock();
        try {
            sample = next;
            processes = found;
            next.machine().savedBytes().ifPresent(bytes -> saved.add((double) bytes));
            next.ksmdPercent().ifPresent(percent::add);
        } finally {
            lock.unlock();
        }
        return true;
    }

    @Override
    public List<AttributedString> lines(int rows, int columns) {
        lock.lock();
        try {
            return sample == null ? List.of() : lines(sample, rows, columns);
        } finally {
            lock.unlock();
        }
    }

    private List<AttributedString> lines(Sample sample, int rows, int columns) {
        KsmStats machine = sample.machine();
        List<AttributedString> lines = new ArrayList<>();
        if (rows >= ROWS_FOR_DETAILS) {
            TerminalFormat.flow(
                    lines, columns, List.of(time(sample), "every " + TerminalFormat.seconds(interval), "q quits"));
        }
        TerminalFormat.flow(
                lines,
                columns,
                List.of(
                        "saved " + ByteCount.text(machine.savedBytes()),
                        "cost " + ByteCount.text(MachineStatus.costBytes(machine)),
                        "profit " + ByteCount.text(machine.profitBytes()),
                        "ksmd " + TerminalFormat.percent(sample.ksmdPercent()) + " CPU"));
        if (rows >= ROWS_FOR_DETAILS) {
            TerminalFormat.flow(
                    lines,
                    columns,
                    List.of(
                            "ksmd " + MachineStatus.ksmd(machine),
                            number(sample.pagesPerSecond()) + " pages/s",
                            number(machine.fullScans()) + " full scans"));
            TerminalFormat.flow(
                    lines,
                    columns,
                    List.of(
                            "pages: " + number(machine.pagesShared()) + " shared",
                            number(machine.pagesSharing()) + " saved",
                            number(machine.pagesUnshared()) + " unshared",
                            number(machine.pagesVolatile()) + " volatile"));
        }
        if (rows >= ROWS_FOR_HISTORY) {
            int width = Math.max(1, columns - COLUMNS_AROUND_HISTORY);
            lines.add(format.history("saved ", saved.latest(width), TerminalFormat::bytes, AttributedStyle.GREEN));
            lines.add(format.history("ksmd  ", percent.latest(width), TerminalFormat::percent, AttributedStyle.YELLOW));
        }
        lines.add(TerminalFormat.heading(heading(columns), columns));
        lines.addAll(table(rows - lines.size(), columns));
        return lines;
    }

    private static String heading(int columns) {
        return row(columns, "PID", "MERGED", "COST", "PROFIT", "NAME");
    }

    /** Returns as many processes as fit, and in the last row how many are omitted. */
    private List<AttributedString> table(int room, int columns) {
        List<AttributedString> lines = new ArrayList<>();
        List<ProcessInfo> known = processes.known();
        boolean allFit = known.size() + (processes.ofOthers().isPresent() ? 1 : 0) <= room;
        int shown = allFit ? known.size() : Math.max(0, Math.min(known.size(), room - 1));
        for (ProcessInfo process : known.subList(0, shown)) {
            lines.add(new AttributedString(row(
                    columns,
                    Long.toString(process.pid()),
                    ByteCount.text(process.stats().mergedBytes()),
                    ByteCount.text(process.costBytes()),
                    ByteCount.text(process.stats().profitBytes()),
                    process.name())));
        }
        List<String> rest = new ArrayList<>();
        if (shown < known.size()) {
            rest.add((known.size() - shown) + " more");
        }
        processes.ofOthers().ifPresent(rest::add);
        if (known.isEmpty() && rest.isEmpty()) {
            rest.add("No process is known to have mergeable memory.");
        }
        if (!rest.isEmpty()) {
            lines.add(new AttributedString(String.join(", ", rest)));
        }
        return lines;
    }

    /** Formats a row; a narrow one omits less important columns. */
    private static String row(int columns, String pid, String merged, String cost, String profit, String name) {
        if (columns < 46) {
            return String.format("%8s %10s  %s", pid, profit, name);
        }
        if (columns < 62) {
            return String.format("%8s %10s %10s  %s", pid, merged, profit, name);
        }
        return String.format("%10s %11s %11s %11s  %s", pid, merged, cost, profit, name);
    }

    @Override
    public void print() {
        if (sample == null) {
            return;
        }
        PrintStream out = System.out;
        if (json) {
            out.println(Json.of(sample.json(processes)));
            return;
        }
        KsmStats machine = sample.machine();
        out.printf(
                "%s  saved %s, cost %s, profit %s%n",
                time(sample),
                ByteCount.text(machine.savedBytes()),
                ByteCount.text(MachineStatus.costBytes(machine)),
                ByteCount.text(machine.profitBytes()));
        out.printf(
                "ksmd %s; %s CPU, %s pages/s%n",
                MachineStatus.ksmd(machine),
                TerminalFormat.percent(sample.ksmdPercent()),
                number(sample.pagesPerSecond()));
        out.println(heading(Integer.MAX_VALUE));
        table(Integer.MAX_VALUE, Integer.MAX_VALUE).forEach(out::println);
        out.println();
    }

    /** Returns the local time of the sample. */
    static String time(Sample sample) {
        return String.format(Locale.ROOT, "%tT", sample.time().atZone(ZoneId.systemDefault()));
    }

    private static String number(OptionalLong number) {
        return number.isPresent() ? Long.toString(number.getAsLong()) : "-";
    }

    private static String number(OptionalDouble number) {
        return number.isPresent() ? Long.toString(Math.round(number.getAsDouble())) : "-";
    }
}
