// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.Log;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.internal.linux.Linux;
import io.ksm4j.spi.NativeMapping;
import java.nio.ByteBuffer;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/** Allocates regions as their options say. An allocation that fails leaves nothing behind. */
final class Allocation {

    /** The maximum size of the buffers through which pages are touched. */
    private static final long WINDOW = 1L << 30;

    /** Pauses after garbage collections, in which the cleaner unmaps unreachable memory. */
    private static final long[] COLLECTION_PAUSES_NANOS = {2_000_000, 20_000_000, 100_000_000, 300_000_000};

    /** The region, and a guard page on each side. */
    private static final int MAX_MAPPINGS = 3;

    private Allocation() {}

    /**
     * Allocates a region. The address ranges of closed regions stay mapped until the garbage collector finds that no
     * buffer reaches them. If the process cannot have more mappings, we run the garbage collector and wait for such
     * ranges to be unmapped, as the JDK does for the memory of direct buffers.
     */
    static MergeRegion allocate(Kernel kernel, long size, RegionOptions options) {
        for (int attempt = 0; ; attempt++) {
            try {
                return allocateOnce(kernel, size, options);
            } catch (MapCountExceededException e) {
                if (attempt == COLLECTION_PAUSES_NANOS.length || kernel.waitingForViews.get() == 0) {
                    throw e;
                }
                System.gc();
                LockSupport.parkNanos(COLLECTION_PAUSES_NANOS[attempt]);
            }
        }
    }

    private static MergeRegion allocateOnce(Kernel kernel, long size, RegionOptions options) {
        long length = roundUp(kernel, size);
        long guard = options.guardPages() ? kernel.pageSize : 0;
        if (length + 2 * guard < 0) {
            throw tooLarge(size);
        }
        StackRoom.requireForOpening();
        kernel.unmapDeferred();
        RegionState.closeUnclosed();
        if (!kernel.recordsOnly) {
            kernel.mappingReserve.take(MAX_MAPPINGS, "mmap of " + (length + 2 * guard) + " bytes", null);
        }
        MappedMemory mapped = MappedMemory.map(
                kernel,
                length + 2 * guard,
                options.guardPages() ? Linux.PROT_NONE : Linux.PROT_READ | Linux.PROT_WRITE);
        RegionState state = null;
        try {
            AddressRange range = new AddressRange(mapped.start() + guard, length);
            if (options.guardPages()) {
                kernel.mprotect(range.start(), length, Linux.PROT_READ | Linux.PROT_WRITE);
            }
            adviseHugePages(kernel, range, options.hugePages());
            if (!options.name().isEmpty()) {
                kernel.nameMapping(range.start(), length, options.name());
            }
            state = AllocatedState.open(kernel, range, mapped, options);
            MergeRegion region = new MergeRegion(state);
            state.markAsOpened(options);
            if (options.populate()) {
                populate(kernel, region);
            }
            return region;
        } catch (Throwable t) {
            giveBack(mapped, state, t);
            throw t;
        }
    }

    /** Closes what a failed allocation has opened. If that fails too, the exception is added to the first one. */
    private static void giveBack(MappedMemory mapped, @Nullable RegionState state, Throwable reason) {
        Throwable failure = null;
        if (state != null) {
            failure = state.closeOrKeep();
        } else {
            try {
                mapped.unmap();
            } catch (Throwable t) {
                failure = t;
            }
        }
        if (failure instanceof KsmException) {
            reason.addSuppressed(failure);
        }
    }

    private static long roundUp(Kernel kernel, long size) {
        if (size <= 0) {
            throw new IllegalArgumentException("size " + size + " is not positive: allocate at least one byte");
        }
        long rounded = (size + kernel.pageSize - 1) & -kernel.pageSize;
        if (rounded < 0) {
            throw tooLarge(size);
        }
        return rounded;
    }

    private static IllegalArgumentException tooLarge(long size) {
        return new IllegalArgumentException("size " + size + " is larger than any address space");
    }

    /** A kernel without transparent huge pages refuses both kinds of advice with EINVAL, and needs neither. */
    private static void adviseHugePages(Kernel kernel, AddressRange range, HugePages hugePages) {
        if (hugePages == HugePages.SYSTEM_DEFAULT) {
            return;
        }
        try {
            kernel.madvise(
                    range.start(),
                    range.length(),
                    hugePages == HugePages.ALLOW ? Linux.MADV_HUGEPAGE : Linux.MADV_NOHUGEPAGE);
        } catch (InvalidRangeException e) {
            Log.debug("this kernel has no transparent huge pages", e);
        }
    }

    private static void populate(Kernel kernel, MergeRegion region) {
        AddressRange range = region.range();
        try {
            kernel.madvise(range.start(), range.length(), Linux.MADV_POPULATE_WRITE);
        } catch (InvalidRangeException e) {
            // Linux before 5.14 does not know the advice, so we touch every page.
            touchEveryPage(kernel.pageSize, region.mapping(), range.length());
        }
    }

    private static void touchEveryPage(long pageSize, NativeMapping mapping, long length) {
        for (long offset = 0; offset < length; offset += WINDOW) {
            int size = (int) Math.min(WINDOW, length - offset);
            ByteBuffer window = mapping.buffer(offset, size);
            for (long at = 0; at < size; at += pageSize) {
                window.put((int) at, (byte) 0);
            }
        }
    }
}
