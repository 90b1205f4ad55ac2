// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.status;

import io.ksm4j.stats.ProcessKsmStats;
import java.util.OptionalLong;

/**
 * A process that merging concerns.
 *
 * @param pid its PID
 * @param name the main class or jar of a JVM, or the kernel's name of another process; printable and never empty
 * @param stats what merging does for it
 */
public record ProcessInfo(long pid, String name, ProcessKsmStats stats) {

    /** Returns the size of the kernel's records of this process in bytes; empty if unknown. */
    public OptionalLong costBytes() {
        return MachineStatus.costBytes(stats.mergedBytes(), stats.profitBytes());
    }
}
