// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * CPU time as {@code /proc/self/stat} has it, in ticks of 10 ms.
 *
 * @param process of this process
 * @param children of its children that have ended
 */
public record OwnCpuTime(long process, long children) {

    /** Reads it, usually in {@code /proc}. */
    public static OwnCpuTime read(Path proc) throws IOException {
        String stat = Files.readString(proc.resolve("self/stat"));
        // The name in parentheses may contain anything. utime, stime, cutime and cstime are fields 14 to 17.
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
        return new OwnCpuTime(
                Long.parseLong(fields[11]) + Long.parseLong(fields[12]),
                Long.parseLong(fields[13]) + Long.parseLong(fields[14]));
    }
}
