// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.measurement;

import io.ksm4j.stats.ProcessKsmStats;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * The memory of processes. A page that n mappings share counts as one n-th in each, so the sum over processes counts it
 * once. Swapped-out memory counts as well.
 *
 * @param mapped the bytes of all pages
 * @param anonymous the same without pages of files such as libraries
 * @param pageTables the bytes of the page tables
 * @param records the number of pages that {@code ksmd} keeps a record of
 */
public record ProcessMemory(long mapped, long anonymous, long pageTables, long records) {

    /** The memory of no process. */
    public static final ProcessMemory NONE = new ProcessMemory(0, 0, 0, 0);

    /** The size of a record according to the kernel's documentation. */
    private static final long RMAP_ITEM = 64;

    static ProcessMemory of(long pid) throws IOException {
        Path process = Path.of("/proc", Long.toString(pid));
        Map<String, Long> pages = bytes(process.resolve("smaps_rollup"));
        Map<String, Long> status = bytes(process.resolve("status"));
        long swapped = get(pages, "SwapPss");
        return new ProcessMemory(
                get(pages, "Pss") + swapped,
                get(pages, "Pss_Anon") + swapped,
                get(status, "VmPTE"),
                ProcessKsmStats.read(pid).rmapItems().orElse(0));
    }

    /** Returns the bytes of the mappings of a process that are marked mergeable. */
    static long mergeable(long pid) throws IOException {
        long mergeable = 0;
        long size = 0;
        for (String line : Files.readAllLines(Path.of("/proc", Long.toString(pid), "smaps"))) {
            if (line.startsWith("Size:")) {
                size = bytesIn(line);
            } else if (line.matches("VmFlags:.* mg\\b.*")) {
                mergeable += size;
            }
        }
        return mergeable;
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
                bytes.put(line.substring(0, line.indexOf(':')), bytesIn(line));
            }
        }
        return bytes;
    }

    /** Returns the bytes that a line such as "Size: 4 kB" names. */
    private static long bytesIn(String line) {
        String number = line.substring(line.indexOf(':') + 1, line.length() - " kB".length());
        return Long.parseLong(number.strip()) << 10;
    }

    /**
     * Returns the bytes of the processes' pages, and of what the kernel needs for them.
     *
     * @return the bytes
     */
    public long all() {
        return mapped + kernel();
    }

    /**
     * Returns the bytes of the anonymous pages, and of what the kernel needs for the processes.
     *
     * @return the bytes
     */
    public long data() {
        return anonymous + kernel();
    }

    private long kernel() {
        return pageTables + RMAP_ITEM * records;
    }

    /**
     * Returns the memory of these processes and of others.
     *
     * @param other the memory of the others
     * @return the sum
     */
    public ProcessMemory plus(ProcessMemory other) {
        return new ProcessMemory(
                mapped + other.mapped,
                anonymous + other.anonymous,
                pageTables + other.pageTables,
                records + other.records);
    }
}
