// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.status;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.linux.MallocArenas;
import io.ksm4j.tools.output.ArgumentChecks;
import io.ksm4j.tools.output.ByteCount;
import io.ksm4j.tools.output.ExitStatus;
import io.ksm4j.tools.output.Json;
import java.io.IOException;
import java.io.PrintStream;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ksm status}: shows what merging saves and costs now. */
@Command(
        name = "status",
        mixinStandardHelpOptions = true,
        description = "Shows what merging saves and costs on this machine, and in which processes.",
        footer = "%nExits with 1 if there is no KSM, no such process, or no permission to read it.")
public final class StatusCommand implements Callable<Integer> {

    @Option(names = "--json", description = "print JSON")
    private boolean json;

    @Parameters(
            arity = "0..1",
            paramLabel = "PID",
            description = "show only this process, even if none of its memory is mergeable")
    private Optional<Long> pid = Optional.empty();

    @Spec
    private CommandSpec spec;

    /** For picocli, which sets the options. */
    public StatusCommand() {}

    /** Shows all processes. */
    public StatusCommand(boolean json) {
        this.json = json;
    }

    @Override
    public Integer call() {
        pid.ifPresent(number -> ArgumentChecks.requirePid(spec, number));
        KsmStats machine = MachineStatus.read();
        Processes processes = pid.map(one -> new Processes(List.of(Processes.read(one)), OptionalInt.of(0)))
                .orElseGet(Processes::read);
        if (json) {
            Map<String, Object> values = StatusJson.of(machine, processes);
            pid.ifPresent(number -> values.put("malloc", malloc(number).map(StatusJson::of)));
            System.out.println(Json.of(values));
        } else {
            print(machine);
            System.out.println();
            print(processes);
            pid.flatMap(StatusCommand::malloc).ifPresent(StatusCommand::print);
        }
        return ExitStatus.SUCCESS;
    }

    /** Returns what a process has in arenas; empty if it does not use glibc, has ended, or may not be read. */
    private static Optional<MallocArenas> malloc(long pid) {
        try {
            return MallocArenas.read(Processes.directory(pid));
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    private static void print(KsmStats machine) {
        line("ksmd", MachineStatus.ksmd(machine));
        line("saved", ByteCount.text(machine.savedBytes()));
        line("cost", ByteCount.text(MachineStatus.costBytes(machine)) + " of records");
        line("profit", ByteCount.text(machine.profitBytes()));
        line(
                "shared",
                MachineStatus.pages(machine.pagesShared()) + " in use, " + MachineStatus.pages(machine.pagesSharing())
                        + " saved");
        if (machine.ksmZeroPages().orElse(0) > 0) {
            line("zeros", MachineStatus.pages(machine.ksmZeroPages()) + " replaced by the kernel's zero page");
        }
        line("unshared", MachineStatus.pages(machine.pagesUnshared()) + " without a duplicate");
        line("volatile", volatilePages(machine));
        line("scans", MachineStatus.number(machine.fullScans()) + " full scans");
        if (machine.run().orElse(1) == 0 && machine.rmapItems().orElse(0) > 0) {
            line("as of", "ksmd's last scan: processes that ended and memory unmarked since then are still counted");
        }
    }

    /** With {@code smart_scan}, the kernel counts skipped pages as volatile too. */
    static String volatilePages(KsmStats machine) {
        return MachineStatus.pages(machine.pagesVolatile()) + " that change too fast"
                + (machine.smartScan().orElse(0) != 0 ? ", or that smart_scan skips" : "");
    }

    private static void line(String name, String value) {
        System.out.printf("%-8s  %s%n", name, value);
    }

    private static String note(ProcessInfo process) {
        if (Processes.isStale(process.stats())) {
            return " (no longer mergeable; counted until ksmd's next scan)";
        }
        return process.stats().mergeAny().orElse(false) ? " (opted in as a whole)" : "";
    }

    private static void print(Processes processes) {
        PrintStream out = System.out;
        if (processes.known().isEmpty()) {
            out.println("No readable process is known to have mergeable memory.");
        } else {
            out.printf("%10s %11s %11s %11s  %s%n", "PID", "MERGED", "COST", "PROFIT", "NAME");
        }
        for (ProcessInfo process : processes.known()) {
            out.printf(
                    "%10d %11s %11s %11s  %s%s%n",
                    process.pid(),
                    ByteCount.text(process.stats().mergedBytes()),
                    ByteCount.text(process.costBytes()),
                    ByteCount.text(process.stats().profitBytes()),
                    process.name(),
                    note(process));
        }
        processes.ofOthers().ifPresent(others -> out.println(others + "."));
    }

    private static void print(MallocArenas malloc) {
        System.out.println();
        String merged = malloc.mergedBytes().isPresent()
                ? ", of which " + ByteCount.text(malloc.mergedBytes()) + " are merged"
                : "";
        line("malloc", ByteCount.text(malloc.bytes()) + " in arenas" + merged);
        if (malloc.shouldFixThreshold()) {
            line(
                    "",
                    "-> start it with " + MallocArenas.FIXED_THRESHOLD
                            + ": equal blocks of 128 KiB or more in them would then merge");
        }
    }
}
