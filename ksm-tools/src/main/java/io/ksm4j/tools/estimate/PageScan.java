// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.AddressRange;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.linux.Architecture;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Finds the pages of another process that are worth looking at, without reading an entry for each page of its address
 * space: pages in memory or on swap, but neither unmodified pages of files nor zero pages. Uses the ioctl
 * {@code PAGEMAP_SCAN} of Linux 6.7. For use by one thread.
 */
final class PageScan implements AutoCloseable {

    private static final int IOCTL = Architecture.AARCH64 ? 29 : 16;
    private static final int OPENAT = Architecture.AARCH64 ? 56 : 257;
    private static final int CLOSE = Architecture.AARCH64 ? 57 : 3;

    private static final int AT_FDCWD = -100;
    private static final int O_CLOEXEC = 0x80000;

    /** {@code _IOWR('f', 16, struct pm_scan_arg)} (linux/fs.h). */
    static final long PAGEMAP_SCAN = 0xc0606610L;

    private static final long PAGE_IS_FILE = 1 << 2;
    private static final long PAGE_IS_PRESENT = 1 << 3;
    private static final long PAGE_IS_SWAPPED = 1 << 4;
    private static final long PAGE_IS_PFNZERO = 1 << 5;

    private static final int ARGUMENT_BYTES = 12 * Long.BYTES;

    private static final int REGION_BYTES = 3 * Long.BYTES;
    private static final int MAX_REGIONS = 1024;

    /** The kernel locks the mappings of the process during a call. */
    private static final int MAX_PAGES = 8192;

    /** A smaller gap is not worth another read of pagemap. */
    private static final int MIN_GAP_PAGES = 512;

    private final KsmBackend kernel;
    private final long pagemap;
    private final long pageSize;

    private final ByteBuffer argument =
            ByteBuffer.allocateDirect(ARGUMENT_BYTES).order(ByteOrder.nativeOrder());

    private final ByteBuffer regions =
            ByteBuffer.allocateDirect(MAX_REGIONS * REGION_BYTES).order(ByteOrder.nativeOrder());

    /**
     * What a call has found.
     *
     * @param ranges contain all such pages, and maybe some others; by ascending addresses
     * @param end the end of what was scanned
     */
    record Found(List<AddressRange> ranges, long end) {}

    private PageScan(KsmBackend kernel, long pagemap, long pageSize) {
        this.kernel = kernel;
        this.pagemap = pagemap;
        this.pageSize = pageSize;
    }

    /** Returns empty if the processor is not supported or the file cannot be opened. */
    static Optional<PageScan> open(KsmBackend kernel, Path pagemap, long pageSize) {
        if (!(Architecture.AARCH64 || Architecture.AMD64)) {
            return Optional.empty();
        }
        byte[] name = pagemap.toString().getBytes(StandardCharsets.US_ASCII);
        ByteBuffer terminated = ByteBuffer.allocateDirect(name.length + 1).put(0, name);
        try {
            long descriptor = kernel.syscall(OPENAT, AT_FDCWD, kernel.address(terminated), O_CLOEXEC, 0, 0);
            return descriptor < 0 ? Optional.empty() : Optional.of(new PageScan(kernel, descriptor, pageSize));
        } finally {
            Reference.reachabilityFence(terminated);
        }
    }

    /**
     * Scans from one address towards another. Returns empty if the kernel cannot do that, or no longer, because the
     * process has ended.
     */
    Optional<Found> next(long start, long end) {
        long excluded = PAGE_IS_FILE | PAGE_IS_PFNZERO;
        argument.clear()
                .putLong(ARGUMENT_BYTES)
                .putLong(0) // flags
                .putLong(start)
                .putLong(end)
                .putLong(0) // walk_end, to be set by the kernel
                .putLong(kernel.address(regions))
                .putLong(MAX_REGIONS)
                .putLong(MAX_PAGES)
                .putLong(excluded) // inverted
                .putLong(excluded) // required
                .putLong(PAGE_IS_PRESENT | PAGE_IS_SWAPPED) // any of
                .putLong(PAGE_IS_PRESENT); // to be distinguished
        try {
            long count = kernel.syscall(IOCTL, pagemap, PAGEMAP_SCAN, kernel.address(argument), 0, 0);
            return count < 0 ? Optional.empty() : Optional.of(found((int) count, end));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Joins regions with small gaps. Does not use walk_end: Linux 6.18 leaves it far behind if there are more than 512
     * regions.
     */
    private Found found(int count, long end) {
        List<AddressRange> ranges = new ArrayList<>();
        long pages = 0;
        long rangeStart = 0;
        long rangeEnd = 0;
        for (int i = 0; i < count; i++) {
            long start = regions.getLong(i * REGION_BYTES);
            if (i == 0) {
                rangeStart = start;
            } else if (start - rangeEnd >= MIN_GAP_PAGES * pageSize) {
                ranges.add(new AddressRange(rangeStart, rangeEnd - rangeStart));
                rangeStart = start;
            }
            rangeEnd = regions.getLong(i * REGION_BYTES + Long.BYTES);
            pages += (rangeEnd - start) / pageSize;
        }
        if (count > 0) {
            ranges.add(new AddressRange(rangeStart, rangeEnd - rangeStart));
        }
        boolean isComplete = count < MAX_REGIONS && pages < MAX_PAGES;
        return new Found(ranges, isComplete ? end : rangeEnd);
    }

    @Override
    public void close() {
        kernel.syscall(CLOSE, pagemap, 0, 0, 0, 0);
    }
}
