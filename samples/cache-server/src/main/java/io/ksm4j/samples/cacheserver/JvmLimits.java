// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import com.sun.management.HotSpotDiagnosticMXBean;
import com.sun.management.OperatingSystemMXBean;
import com.sun.management.UnixOperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;

/**
 * What the JVM and its container have for the server.
 *
 * @param maxHeapBytes the maximum size of the heap
 * @param maxDirectBytes the maximum size of all direct buffers, which requests and replies use
 * @param memoryBytes the memory of the machine or container
 * @param freeDescriptors the file descriptors that the process may still open
 */
record JvmLimits(long maxHeapBytes, long maxDirectBytes, long memoryBytes, long freeDescriptors) {

    private static final int DEFAULT_MAX_CLIENTS = 10_000;

    /** File descriptors for files that are read and logs that are written, and for refused clients. */
    private static final int SPARE_DESCRIPTORS = 64;

    /** Memory of the JVM in addition to the heap: code, threads and buffers. */
    private static final long OTHER_BYTES = 128L << 20;

    static JvmLimits read() {
        long memory = Long.MAX_VALUE;
        long descriptors = Long.MAX_VALUE;
        if (ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system) {
            memory = system.getTotalMemorySize();
        }
        if (ManagementFactory.getOperatingSystemMXBean() instanceof UnixOperatingSystemMXBean unix) {
            descriptors = unix.getMaxFileDescriptorCount() - unix.getOpenFileDescriptorCount();
        }
        long heap = Runtime.getRuntime().maxMemory();
        return new JvmLimits(heap, maxDirectBytes(heap), memory, descriptors);
    }

    /** Reads the option of the JVM. If it is 0, as it is by default, the limit is the size of the heap. */
    private static long maxDirectBytes(long heap) {
        HotSpotDiagnosticMXBean bean = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
        long option = bean == null
                ? 0
                : Long.parseLong(bean.getVMOption("MaxDirectMemorySize").getValue());
        return option == 0 ? heap : option;
    }

    /** Returns how much memory all incomplete requests together may take. */
    long maxIncompleteBytes() {
        return maxDirectBytes / 2;
    }

    /** Returns how much memory the replies that all clients have not read may take. */
    long maxUnreadBytes() {
        return maxDirectBytes / 4;
    }

    /** Returns how many clients there may be, so that a file can still be opened when all have connected. */
    int maxClients() {
        return (int) Math.max(1, Math.min(DEFAULT_MAX_CLIENTS, freeDescriptors - SPARE_DESCRIPTORS));
    }

    /**
     * Returns what keys may take of the heap. The rest is for the tables of the pools, for requests and for garbage.
     */
    long maxEntryBytes() {
        return maxHeapBytes / 2;
    }

    /** Returns what should be changed before the server runs in production. */
    List<String> warnings(long maxMemory) {
        List<String> warnings = new ArrayList<>();
        if (maxMemory > memoryBytes - Math.min(memoryBytes, maxHeapBytes + OTHER_BYTES)) {
            warnings.add("Warning: --max-memory " + mebibytes(maxMemory) + ", a heap of " + mebibytes(maxHeapBytes)
                    + " and " + mebibytes(OTHER_BYTES) + " for the JVM itself are more than the memory of "
                    + mebibytes(memoryBytes) + ". Reduce --max-memory, or the heap with KSM_JAVA_OPTIONS=-Xmx.");
        }
        if (freeDescriptors - SPARE_DESCRIPTORS < DEFAULT_MAX_CLIENTS) {
            warnings.add("Warning: only " + maxClients() + " clients can connect, because the limit of file descriptors"
                    + " is low. Raise it with ulimit -n.");
        }
        return warnings;
    }

    private static String mebibytes(long bytes) {
        return (bytes >> 20) + " MiB";
    }
}
