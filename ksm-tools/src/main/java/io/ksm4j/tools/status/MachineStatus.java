// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.status;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.output.CommandFailedException;
import java.util.OptionalLong;

/** Reads and describes KSM on the whole machine. */
public final class MachineStatus {

    private MachineStatus() {}

    /**
     * Reads the machine's counters and settings.
     *
     * @throws CommandFailedException if the kernel has no KSM, or it is hidden
     * @throws java.io.UncheckedIOException if a file cannot be read or has unexpected content
     */
    public static KsmStats read() {
        KsmStats machine = KsmStats.read();
        if (!machine.isAvailable()) {
            throw new CommandFailedException("there is no /sys/kernel/mm/ksm: run ksm doctor for details");
        }
        return machine;
    }

    /** Returns the size of the kernel's records in bytes; empty if unknown. */
    public static OptionalLong costBytes(KsmStats machine) {
        return costBytes(machine.savedBytes(), machine.profitBytes());
    }

    /** Returns the size of the kernel's records in bytes: the saving less the profit; empty if either is unknown. */
    public static OptionalLong costBytes(OptionalLong savedBytes, OptionalLong profitBytes) {
        return savedBytes.isPresent() && profitBytes.isPresent()
                ? OptionalLong.of(savedBytes.getAsLong() - profitBytes.getAsLong())
                : OptionalLong.empty();
    }

    /** Describes what {@code ksmd} does according to its settings. */
    public static String ksmd(KsmStats machine) {
        if (machine.run().isEmpty()) {
            return "unknown, because /sys/kernel/mm/ksm/run cannot be read";
        }
        long run = machine.run().getAsLong();
        if (run != 1) {
            return run == 2 ? "stopped, all pages unmerged" : "stopped";
        }
        return "runs, " + pages(machine.pagesToScan()) + " every " + number(machine.sleepMillisecs()) + " ms"
                + (machine.advisorMode().filter("scan-time"::equals).isPresent() ? ", set by the advisor" : "");
    }

    static String pages(OptionalLong pages) {
        return number(pages) + (pages.orElse(0) == 1 ? " page" : " pages");
    }

    /** Returns the number, or a dash if it is unknown. */
    static String number(OptionalLong number) {
        return number.isPresent() ? Long.toString(number.getAsLong()) : "-";
    }
}
