// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.agent.isolated;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import java.util.List;
import java.util.Locale;
import java.util.OptionalLong;

/** Describes the effect of merging on this process. */
final class Report {

    /** Pages that {@code ksmd} must have scanned for the profit to be meaningful. */
    private static final long MIN_PAGES = 4096;

    private Report() {}

    /** {@return one line, or two if merging costs more than it saves} */
    static List<String> lines(ProcessKsmStats process, KsmStats machine) {
        String numbers = optedIn(process) + "; merged " + mebibytes(process.mergedBytes()) + ", "
                + mebibytes(pages(process.zeroPages(), machine.pageSize()))
                + " of it as zero pages; records cost " + mebibytes(cost(process)) + "; profit "
                + mebibytes(process.profitBytes()) + "; " + ksmd(machine);
        if (process.profitBytes().orElse(0) >= 0 || process.rmapItems().orElse(0) < MIN_PAGES) {
            return List.of(numbers);
        }
        return List.of(
                numbers,
                "merging costs this process more memory than it saves: a Java heap hardly merges except for its zero"
                        + " pages, but ksmd scans all of it; opt the process out with ksm attach --off");
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
