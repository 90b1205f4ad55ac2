package io.ksm4j.tools.status;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.output.CommandFailedException;
import java.util.OptionalLong;

/** What the kernel says about KSM on the whole machine. */
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
            throw new CommandFailedException("there is no /sys/kernel/mm/ksm: ksm doctor says why");
        }
        return machine;
    }

    /** Returns the size of the kernel's records in bytes; empty if unknown. */
    public static OptionalLong costBytes(KsmStats machine) {
        return costBytes(machine.savedBytes(), machine.profitBytes());
    }

    /** Returns the size of the kernel's records in bytes: what is saved less the profit; empty if either is unknown. */
    public static OptionalLong costBytes(OptionalLong savedBytes, OptionalLong profitBytes) {
        return savedBytes.isPresent() && profitBytes.isPresent()
                ? OptionalLong.of(savedBytes.getAsLong() - profitBytes.getAsLong())
                : OptionalLong.empty();
    }

    /** What it does, by the settings. */
    public static String ksmd(KsmStats machine) {
        if (machine.run().isEmpty()) {
            return "may run or not, as /sys/kernel/mm/ksm/run cannot be read";
        }
        long run = machine.run().getAsLong();
        if (run != 1) {
            return run == 2 ? "stands still, all pages taken apart" : "stands still";
        }
        return "runs, " + pages(machine.pagesToScan()) + " every " + number(machine.sleepMillisecs()) + " ms"
                + (machine.advisorMode().filter("scan-time"::equals).isPresent() ? ", as the advisor has it" : "");
    }

    static String pages(OptionalLong pages) {
        return number(pages) + (pages.orElse(0) == 1 ? " page" : " pages");
    }

    /** A dash if there is none. */
    static String number(OptionalLong number) {
        return number.isPresent() ? Long.toString(number.getAsLong()) : "-";
    }
}
