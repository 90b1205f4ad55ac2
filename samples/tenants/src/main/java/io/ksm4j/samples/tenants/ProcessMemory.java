// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

import io.ksm4j.stats.ProcessKsmStats;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * The memory of processes in bytes. A page that n mappings share counts as one n-th in each, so the sum over processes
 * counts it once.
 *
 * @param all the processes' pages, and what the kernel needs for them
 * @param data the same without pages of files such as libraries
 */
record ProcessMemory(long all, long data) {

    static final ProcessMemory NONE = new ProcessMemory(0, 0);

    /**
     * The size of the record that the kernel keeps for each page that {@code ksmd} has scanned, according to its
     * documentation.
     */
    private static final long RMAP_ITEM = 64;

    static ProcessMemory of(long pid) throws IOException {
        Path process = Path.of("/proc", Long.toString(pid));
        Map<String, Long> pages = bytes(process.resolve("smaps_rollup"));
        Map<String, Long> status = bytes(process.resolve("status"));
        long swapped = get(pages, "SwapPss");
        long kernel = get(status, "VmPTE")
                + RMAP_ITEM * ProcessKsmStats.read(pid).rmapItems().orElse(0);
        return new ProcessMemory(get(pages, "Pss") + swapped + kernel, get(pages, "Pss_Anon") + swapped + kernel);
    }

    /** Returns the bytes that programs can allocate before the machine has to swap. */
    static long available() throws IOException {
        return get(bytes(Path.of("/proc/meminfo")), "MemAvailable");
    }

    private static long get(Map<String, Long> bytes, String name) throws IOException {
        Long found = bytes.get(name);
        if (found == null) {
            throw new IOException("the kernel does not provide " + name);
        }
        return found;
    }

    private static Map<String, Long> bytes(Path file) throws IOException {
        Map<String, Long> bytes = new HashMap<>();
        for (String line : Files.readAllLines(file)) {
            if (line.endsWith(" kB")) {
                String number = line.substring(line.indexOf(':') + 1, line.length() - " kB".length());
                bytes.put(line.substring(0, line.indexOf(':')), Long.parseLong(number.strip()) << 10);
            }
        }
        return bytes;
    }

    ProcessMemory plus(ProcessMemory other) {
        return new ProcessMemory(all + other.all, data + other.data);
    }
}
