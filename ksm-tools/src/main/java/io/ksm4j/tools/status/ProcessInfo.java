package io.ksm4j.tools.status;

import io.ksm4j.stats.ProcessKsmStats;
import java.util.OptionalLong;

/**
 * A process that has something to do with merging.
 *
 * @param pid its number
 * @param name of a JVM the main class, or the jar it was started from; of others what the kernel calls it; printable, and never empty
 * @param stats what merging does for it
 */
public record ProcessInfo(long pid, String name, ProcessKsmStats stats) {

    /** Returns the size of the kernel's records of this process in bytes; empty if unknown. */
    public OptionalLong costBytes() {
        return MachineStatus.costBytes(stats.mergedBytes(), stats.profitBytes());
    }
}
