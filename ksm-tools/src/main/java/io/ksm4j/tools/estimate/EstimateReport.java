// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.tools.estimate.Estimate.OfProcess;
import io.ksm4j.tools.output.ByteCount;
import io.ksm4j.tools.output.Json;
import java.io.PrintStream;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToLongFunction;

/** Prints an estimate, and how long reading took until now. */
final class EstimateReport {

    private final Estimate estimate;
    private final ReadProgress progress;
    private final double seconds;

    EstimateReport(Estimate estimate, ReadProgress progress) {
        this.estimate = estimate;
        this.progress = progress;
        this.seconds = progress.seconds();
    }

    /** Prints one line of JSON. Names stay; new ones may be added. */
    void printJson() {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("pageSize", estimate.rules().pageSize());
        values.put("maxPageSharing", estimate.rules().maxPageSharing());
        values.put("useZeroPages", estimate.rules().useZeroPages());
        values.put("mergeAcrossNodes", estimate.rules().acrossNodes());
        values.put("sampling", estimate.sampling());
        values.put("candidateBytes", estimate.bytes(estimate.candidates()));
        values.put("withinBytes", estimate.bytes(estimate.within()));
        values.put("acrossBytes", estimate.bytes(estimate.across()));
        values.put("extraCopiesBytes", estimate.bytes(estimate.extraCopies()));
        values.put("savedBytes", estimate.savedBytes());
        values.put("errorBytes", estimate.errorBytes());
        values.put("costBytes", estimate.costBytes());
        values.put("profitBytes", estimate.profitBytes());
        values.put("processes", estimate.processes().stream().map(this::json).toList());
        values.put("readBytes", progress.done());
        values.put("seconds", seconds);
        System.out.println(Json.of(values));
    }

    private Map<String, Object> json(OfProcess process) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("pid", process.pid());
        values.put("name", process.name());
        values.put("complete", process.isComplete());
        values.put("candidateBytes", estimate.bytes(process.candidates()));
        values.put("zeroBytes", estimate.bytes(process.zeros()));
        values.put("sharedBytes", estimate.bytes(process.shared()));
        values.put("changedBytes", estimate.bytes(process.changed()));
        values.put("withinBytes", estimate.bytes(estimate.within(process)));
        values.put("acrossBytes", estimate.bytes(estimate.across(process)));
        values.put("costBytes", estimate.costBytes(process));
        values.put("swappedBytes", estimate.bytes(process.swapped()));
        values.put("unreadBytes", estimate.bytes(process.unread()));
        values.put("hugeBytes", estimate.bytes(process.huge()));
        return values;
    }

    /** Prints a table of processes and what merging would save in all. */
    void print() {
        printProcesses();
        System.out.println();
        line("candidates", text(estimate.candidates()) + " that ksmd would scan");
        part("shared", OfProcess::shared, " of them already shared, by fork or merging");
        part("changed", OfProcess::changed, " of them changed between the two reads");
        part("huge", OfProcess::huge, " of them in huge pages, which ksmd splits");
        part("swapped", OfProcess::swapped, " on swap, not counted");
        part("unread", OfProcess::unread, " gone before it could be read");
        String limit = estimate.extraCopies() == 0
                ? ""
                : ", less " + text(estimate.extraCopies()) + " because at most "
                        + estimate.rules().maxPageSharing() + " mappings share a page";
        line(
                "saved",
                ByteCount.text(estimate.savedBytes()) + ": " + text(estimate.within()) + " within processes and "
                        + text(estimate.across()) + " across" + limit);
        if (!estimate.rules().acrossNodes()) {
            line("nodes", "assumes that pages of different NUMA nodes merge, which merge_across_nodes forbids");
        }
        if (estimate.sampling() > 1) {
            line(
                    "sampled",
                    "one in " + estimate.sampling() + " contents: the real saving is within "
                            + ByteCount.text(estimate.errorBytes()) + " of the estimate in 19 of 20 cases");
        }
        line("cost", ByteCount.text(estimate.costBytes()) + " of kernel records");
        line("profit", ByteCount.text(estimate.profitBytes()));
        line(
                "read",
                ByteCount.text(progress.done())
                        + String.format(Locale.ROOT, " in %.1f s, ", seconds)
                        + progress.rate());
    }

    private void printProcesses() {
        PrintStream out = System.out;
        out.printf(
                "%10s %11s %11s %11s %11s %11s  %s%n",
                "PID", "CANDIDATES", "ZEROS", "WITHIN", "ACROSS", "COST", "NAME");
        for (OfProcess process : estimate.processes()) {
            out.printf(
                    "%10d %11s %11s %11s %11s %11s  %s%n",
                    process.pid(),
                    text(process.candidates()),
                    text(process.zeros()),
                    text(estimate.within(process)),
                    text(estimate.across(process)),
                    ByteCount.text(estimate.costBytes(process)),
                    process.name());
        }
    }

    private String text(long pages) {
        return ByteCount.text(estimate.bytes(pages));
    }

    private void part(String name, ToLongFunction<OfProcess> pages, String rest) {
        long sum = estimate.processes().stream().mapToLong(pages).sum();
        if (sum > 0) {
            line(name, text(sum) + rest);
        }
    }

    private static void line(String name, String value) {
        System.out.printf("%-10s  %s%n", name, value);
    }
}
