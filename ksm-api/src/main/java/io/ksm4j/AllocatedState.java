// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.Backoff;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.internal.linux.Linux;
import io.ksm4j.internal.management.SharedTable;
import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.internal.registry.Slot;
import io.ksm4j.spi.NativeMapping;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * A region of memory that ksm4j has mapped. The memory is private and anonymous, so the kernel accepts every mark.
 * Closing the region unmaps it.
 */
final class AllocatedState extends RegionState {

    /** Added to {@link #discarding} while the region is being closed. Adding it twice gives 0. */
    private static final int CLOSING = Integer.MIN_VALUE;

    /**
     * How many closed regions may keep their guard pages until no view is reachable. Unmapping the guard pages at once
     * takes two more system calls; keeping them takes up to two more of the process's mappings.
     */
    private static final int WAITING_WITH_GUARDS = 1024;

    /** The whole mapping that {@code mmap} returned, including guard pages. */
    private final MappedMemory mapped;

    /**
     * The number of threads that are discarding pages. {@link #CLOSING} is added when no more may begin, because after
     * unmapping, the addresses may belong to another mapping.
     */
    private final AtomicInteger discarding = new AtomicInteger();

    private AllocatedState(
            Kernel kernel,
            RegionTable table,
            Slot slot,
            AddressRange range,
            String owner,
            MappedMemory mapped,
            RegionOptions options) {
        super(kernel, table, slot, range, owner, options.unmerge());
        this.mapped = mapped;
    }

    /** Opens a region in the JVM's registry. */
    static AllocatedState open(Kernel kernel, AddressRange range, MappedMemory mapped, RegionOptions options) {
        return open(kernel, SharedTable.table(), range, mapped, options);
    }

    static AllocatedState open(
            Kernel kernel, RegionTable table, AddressRange range, MappedMemory mapped, RegionOptions options) {
        prepareOpening();
        String owner = owner(options);
        Slot slot = table.openMapped(
                range.start(), range.end(), mapped.start(), mapped.end(), flags(kernel, options), owner);
        try {
            AllocatedState state = new AllocatedState(kernel, table, slot, range, owner, mapped, options);
            if (slot.is(Slot.OVERLAPPED)) {
                // A region whose memory no longer exists may have marked the new memory before it was detached.
                Kernel.report(kernel.undo(range, Linux.MADV_UNMERGEABLE));
            }
            return state;
        } catch (Throwable t) {
            table.close(slot);
            throw t;
        }
    }

    @Override
    boolean isAdopted() {
        return false;
    }

    @Override
    boolean isVerified() {
        return false;
    }

    /** No check is needed, because new memory cannot have merged yet. */
    @Override
    Unmerge unmergeToExclude() {
        return Unmerge.UNCHECKED;
    }

    @Override
    boolean isAlive() {
        return true;
    }

    @Override
    void discard(long from, long length) {
        beginDiscarding();
        try {
            kernel.discard(from, length);
        } finally {
            discarding.getAndDecrement();
        }
    }

    private void beginDiscarding() {
        if (discarding.getAndIncrement() >= 0 && isOpen()) {
            return;
        }
        discarding.getAndDecrement();
        Backoff backoff = new Backoff();
        try {
            // If closing fails, the region stays open.
            while (isOpen()) {
                int threads = discarding.get();
                if (threads >= 0 && discarding.compareAndSet(threads, threads + 1)) {
                    return;
                }
                backoff.pause();
            }
        } finally {
            backoff.end();
        }
        throw closedException();
    }

    /** Waits until no thread is discarding pages, and keeps others from beginning. */
    private void endDiscarding() {
        if (discarding.compareAndSet(0, CLOSING)) {
            return;
        }
        Backoff backoff = new Backoff();
        try {
            while (!discarding.compareAndSet(0, CLOSING)) {
                backoff.pause();
            }
        } finally {
            backoff.end();
        }
    }

    /**
     * Closes the region and unmaps its memory. None of it stays mergeable, even if other regions want it, because the
     * pages are about to disappear.
     */
    @Override
    void close(@Nullable NativeMapping views) {
        StackRoom.requireForChange();
        // Before the region is owned, because an owner must not wait.
        endDiscarding();
        boolean reachable;
        try {
            if (!slot.tryAcquire() && table.acquire(slots) != null) {
                return;
            }
            int[] others = null;
            boolean closed = false;
            try {
                others = table.reserveToDetach(slot);
                boolean wasMergeable = table.isAnyWanted(slot);
                reachable = views != null && !views.revoke();
                if (reachable) {
                    // Before the region leaves the table: from then on, a buffer may be adopted and marked.
                    emptyPages(wasMergeable);
                }
                table.close(slot, others);
                closed = true;
            } finally {
                if (!closed) {
                    if (others != null) {
                        table.unreserveToDetach(others);
                    }
                    slot.release(0, 0);
                }
            }
        } finally {
            discarding.getAndAdd(CLOSING);
        }
        if (reachable && views != null) {
            if (kernel.waitingForViews.get() >= WAITING_WITH_GUARDS) {
                mapped.shrinkTo(range);
            }
            mapped.unmapLater(views);
        } else {
            mapped.unmap();
        }
    }

    /**
     * Discards the pages, because buffers that cannot be revoked still refer to them. Discarding them before unmarking
     * leaves no pages that unmarking would have to copy.
     */
    private void emptyPages(boolean isMergeable) {
        int errno = kernel.tryDiscard(range.start(), range.length());
        if (errno == Linux.EINVAL) {
            // Locked memory before Linux 5.18: it stays resident, but its old content must not stay readable.
            kernel.clear(range);
        } else if (errno != 0) {
            throw kernel.explain(FailedCall.madvise(Linux.MADV_DONTNEED, range, errno));
        }
        // The content is lost, so from here on closing cannot be undone.
        boolean isMarked = isMergeable;
        for (int attempts = 0; isMarked && attempts < 2; attempts++) {
            try {
                isMarked = !kernel.isOptedIn()
                        && kernel.advise(range.start(), range.length(), Linux.MADV_UNMERGEABLE) != 0;
            } catch (Throwable t) {
                // Retry once.
            }
        }
    }
}
