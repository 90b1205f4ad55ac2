// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.agent.isolated;

import io.ksm4j.AddressRange;
import io.ksm4j.MergeGovernor;
import io.ksm4j.NativeMemory;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** Describes the effect of merging on this process. */
final class Report {

    /** Pages that {@code ksmd} must have scanned for the profit to be meaningful. */
    private static final long MIN_PAGES = 4096;

    private Report() {}

    /**
     * Returns the lines of a report: what was merged; what native memory is marked, if only that is; and a warning if
     * merging costs more than it saves.
     */
    static List<String> lines(ProcessKsmStats process, KsmStats machine, @Nullable NativeMemory nativeMemory) {
        List<String> lines = new ArrayList<>();
        lines.add(optedIn(process) + "; merged " + mebibytes(process.mergedBytes()) + ", "
                + mebibytes(pages(process.zeroPages(), machine.pageSize()))
                + " of it as zero pages; records cost " + mebibytes(cost(process)) + "; profit "
                + mebibytes(process.profitBytes()) + "; " + ksmd(machine));
        if (nativeMemory != null) {
            lines.add(nativeMemory(nativeMemory.ranges(), nativeMemory.resting()));
        }
        if (process.profitBytes().orElse(0) < 0 && process.rmapItems().orElse(0) >= MIN_PAGES) {
            String remedy = nativeMemory != null
                    ? ": opt it out with ksm attach --off"
                    : ": a Java heap hardly merges except for its zero pages, but ksmd scans all of it; opt the process"
                            + " out with ksm attach --off, or merge only the memory of native libraries with"
                            + " ksm attach --native";
            lines.add("merging costs this process more memory than it saves" + remedy);
        }
        return lines;
    }

    static String nativeMemory(List<AddressRange> ranges, List<MergeGovernor.Rest> resting) {
        String line = "native memory: " + ranges.size() + " ranges with "
                + mebibytes(OptionalLong.of(
                        ranges.stream().mapToLong(AddressRange::length).sum()));
        return resting.isEmpty()
                ? line
                : line + ", " + unmarked(resting, MergeGovernor.Reason.NOT_MERGED)
                        + " unmarked because it did not merge, " + unmarked(resting, MergeGovernor.Reason.COPIED)
                        + " because it was copied again and again";
    }

    private static String unmarked(List<MergeGovernor.Rest> resting, MergeGovernor.Reason reason) {
        return mebibytes(OptionalLong.of(resting.stream()
                .filter(rest -> rest.reason() == reason)
                .mapToLong(rest -> rest.range().length())
                .sum()));
    }

    private static String optedIn(ProcessKsmStats process) {
        return process.mergeAny()
                .map(optedIn -> optedIn ? "opted in" : "opted out")
                .orElse("this kernel does not show whether the process is opted in");
    }

    private static String ksmd(KsmStats machine) {
        return switch ((int) machine.run().orElse(-1)) {
            case 1 ->
                "ksmd scans " + number(machine.pagesToScan()) + " pages every " + number(machine.sleepMillisecs())
                        + " ms";
            case 0, 2 -> "ksmd is stopped: nothing merges until root writes 1 to /sys/kernel/mm/ksm/run";
            default -> "the state of ksmd cannot be read";
        };
    }

    private static String number(OptionalLong number) {
        return number.isPresent() ? Long.toString(number.getAsLong()) : "-";
    }

    private static OptionalLong pages(OptionalLong count, long pageSize) {
        return count.isPresent() ? OptionalLong.of(count.getAsLong() * pageSize) : count;
    }

    private static OptionalLong cost(ProcessKsmStats process) {
        return process.rmapItems().isPresent()
                ? OptionalLong.of(process.rmapItems().getAsLong() * 64)
                : OptionalLong.empty();
    }

    private static String mebibytes(OptionalLong bytes) {
        return bytes.isPresent() ? String.format(Locale.ROOT, "%.1f MiB", bytes.getAsLong() / 1048576.0) : "-";
    }
}
