// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.quickstart;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.stats.RegionStats;
import java.text.DecimalFormat;
import java.text.DecimalFormatSymbols;
import java.util.List;
import java.util.Locale;

/** The memory that regions together use and save. */
record MemoryUsage(RegionStats stats) {

    static MemoryUsage of(Ksm ksm, List<MergeRegion> regions) {
        return new MemoryUsage(ksm.stats(regions).values().stream().reduce(RegionStats.NONE, RegionStats::plus));
    }

    long saved() {
        return stats.savedBytes();
    }

    /** Prints why this column is unknown, if the kernel does not provide it. */
    void explain(String column) {
        if (stats.residentBytes() > 0 && stats.mergedBytes().isEmpty()) {
            System.out.println(
                    column + " is not known: this kernel's /proc/self/smaps has no line KSM:, as later ones have");
        }
    }

    static void printHeader() {
        printRow("", "resident", "shared", "saved", "time");
    }

    void print(String when, String time) {
        printRow(
                when,
                stats.residentBytes() > 0 ? mebibytes(stats.residentBytes()) + " MiB" : "not known",
                stats.mergedBytes().isPresent() ? mebibytes(stats.mergedBytes().getAsLong()) + " MiB" : "not known",
                mebibytes(saved()) + " MiB",
                time);
    }

    private static void printRow(Object... cells) {
        System.out.println(String.format("%-8s%14s%14s%14s%9s", cells).stripTrailing());
    }

    static String mebibytes(long bytes) {
        return new DecimalFormat("0.##", DecimalFormatSymbols.getInstance(Locale.ROOT)).format(bytes / 1048576.0);
    }
}
