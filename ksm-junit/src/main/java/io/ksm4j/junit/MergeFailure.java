// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.junit;

import io.ksm4j.MergeOutcome;
import io.ksm4j.MergeRegion;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.stats.RegionStats;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import org.opentest4j.AssertionFailedError;

/** The error of a failed assertion: the numbers of the region, the state of {@code ksmd}, and advice. */
final class MergeFailure {

    private MergeFailure() {}

    /** Returns the error for a wait that did not reach its share. */
    static AssertionFailedError of(MergeRegion region, double share, MergeOutcome outcome) {
        String ending = switch (outcome.end()) {
            case REACHED -> throw new IllegalArgumentException("not a failure: " + outcome);
            case SETTLED -> "no more pages will merge: ksmd has scanned all memory and merged nothing more";
            case KSMD_STOPPED -> "no more pages will merge: ksmd is stopped";
            case NOT_MARKED -> "no pages will merge: the kernel has marked no part of the region";
            case TIMED_OUT -> "more pages may still merge";
        };
        String text = String.format(
                Locale.ROOT,
                "%s (%s after %.1f s and %s full scans)",
                ending,
                outcome.end(),
                outcome.waited().toMillis() / 1e3,
                text(outcome.fullScans()));
        return of(
                region,
                outcome.stats(),
                percent(share) + " merged",
                percent(outcome.stats().mergedShare()) + " merged",
                text);
    }

    /**
     * Returns the error for a failed check.
     *
     * @param expected for example "99.0 % merged"
     * @param actual in the same words
     * @param more a line to add, or empty
     */
    static AssertionFailedError of(MergeRegion region, RegionStats stats, String expected, String actual, String more) {
        StringBuilder text = new StringBuilder()
                .append(region)
                .append(": expected ")
                .append(expected)
                .append(", but was ")
                .append(actual);
        if (!more.isEmpty()) {
            text.append("\n  ").append(more);
        }
        text.append(String.format(
                Locale.ROOT,
                "%n  region: resident %s, marked %s of %s, merged %s, zero pages %s, in huge pages %s, saved %s",
                bytes(stats.residentBytes()),
                bytes(stats.markedBytes()),
                bytes(region.size()),
                bytes(stats.mergedBytes()),
                bytes(stats.zeroBytes()),
                bytes(stats.hugeBytes()),
                bytes(stats.savedBytes())));
        KsmStats machine = KsmStats.read();
        text.append("\n  ksmd:");
        if (!machine.isAvailable()) {
            text.append(" /sys/kernel/mm/ksm is missing");
        } else {
            append(text, " run", machine.run());
            append(text, ", pages_to_scan", machine.pagesToScan());
            append(text, ", sleep_millisecs", machine.sleepMillisecs());
            append(text, ", smart_scan", machine.smartScan());
            append(text, ", use_zero_pages", machine.useZeroPages());
            append(text, ", full_scans", machine.fullScans());
        }
        for (Finding finding : Finding.of(machine, ProcessKsmStats.read(), stats, Optional.empty())) {
            text.append("\n  advice: ").append(finding.kind()).append(", ").append(finding.explanation());
        }
        return new AssertionFailedError(text.toString(), expected, actual);
    }

    private static void append(StringBuilder text, String name, OptionalLong value) {
        if (value.isPresent()) {
            text.append(name).append(' ').append(value.getAsLong());
        }
    }

    static String percent(double share) {
        return String.format(Locale.ROOT, "%.2f %%", 100 * share);
    }

    static String bytes(long bytes) {
        return bytes < 1 << 20
                ? String.format(Locale.ROOT, "%.0f KiB", bytes / 1024.0)
                : String.format(Locale.ROOT, "%.2f MiB", bytes / 1048576.0);
    }

    private static String bytes(OptionalLong bytes) {
        return bytes.isPresent() ? bytes(bytes.getAsLong()) : "unknown";
    }

    private static String text(OptionalLong number) {
        return number.isPresent() ? Long.toString(number.getAsLong()) : "unknown";
    }
}
