// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.Log;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.internal.linux.Linux;
import io.ksm4j.internal.management.SharedTable;
import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.internal.registry.Slot;
import io.ksm4j.spi.NativeMapping;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * A region of memory that was not allocated through ksm4j. Closing it removes its marks and leaves the memory to its
 * owner.
 */
final class AdoptedState extends RegionState implements Kernel.Attempt {

    /**
     * The open regions of this copy of ksm4j whose memory has an owner that can tell whether it still exists, by node.
     */
    private static final Map<Integer, AdoptedState> GUARDED = new ConcurrentHashMap<>();

    /** Tells whether the memory still exists; null if that is unknown. */
    private final @Nullable BooleanSupplier alive;

    /**
     * Keeps the memory reachable while the region is open; null once it is closed, or if the memory was adopted by
     * address.
     */
    @SuppressWarnings("UnusedVariable") // The reference keeps the memory reachable.
    private volatile @Nullable Object memoryHolder;

    private final boolean verified;

    /** The key in {@link #GUARDED}; null if the region is not in it. */
    private final @Nullable Integer key;

    /** Whether parts of the memory were unmapped before the region was closed. */
    private volatile boolean hasGaps;

    private AdoptedState(
            Kernel kernel,
            RegionTable table,
            Slot slot,
            AddressRange range,
            String owner,
            @Nullable BooleanSupplier alive,
            @Nullable Object memoryHolder,
            RegionOptions options) {
        super(kernel, table, slot, range, owner, options.unmerge());
        this.alive = alive;
        this.memoryHolder = memoryHolder;
        this.verified = options.verify() && !kernel.recordsOnly;
        this.key = alive == null ? null : slot.node;
    }

    /**
     * Opens a region in the JVM's registry.
     *
     * @param alive tells whether the memory still exists; null if that is unknown
     * @param memoryHolder keeps the memory reachable; null if it was adopted by address
     */
    static AdoptedState open(
            Kernel kernel,
            AddressRange range,
            @Nullable BooleanSupplier alive,
            @Nullable Object memoryHolder,
            RegionOptions options) {
        return open(kernel, SharedTable.table(), range, 0, alive, memoryHolder, options);
    }

    /** Opens a region over which a region that must never merge may be opened later. */
    static AdoptedState openYielding(Kernel kernel, AddressRange range, RegionOptions options) {
        return open(kernel, SharedTable.table(), range, Slot.YIELDING, null, null, options);
    }

    static AdoptedState open(
            Kernel kernel,
            RegionTable table,
            AddressRange range,
            long moreFlags,
            @Nullable BooleanSupplier alive,
            @Nullable Object memoryHolder,
            RegionOptions options) {
        prepareOpening();
        long flags = flags(kernel, options) | moreFlags | (alive != null ? Slot.GUARDED : 0);
        String owner = owner(options);
        Slot slot = table.open(range.start(), range.end(), flags, owner);
        AdoptedState state = null;
        try {
            state = new AdoptedState(kernel, table, slot, range, owner, alive, memoryHolder, options);
            if (state.key != null) {
                GUARDED.put(state.key, state);
            }
            return state;
        } catch (Throwable t) {
            table.close(slot);
            if (state != null && state.key != null) {
                GUARDED.remove(state.key, state);
            }
            throw t;
        }
    }

    /**
     * {@return whether a region's memory is known to exist; false if its owner can free it and another copy of ksm4j
     * has opened the region}
     */
    static boolean isKnownAlive(Slot slot) {
        if (!slot.is(Slot.GUARDED)) {
            return true;
        }
        AdoptedState state = GUARDED.get(slot.node);
        return state != null && state.isAlive();
    }

    @Override
    boolean isAdopted() {
        return true;
    }

    @Override
    boolean isVerified() {
        return verified;
    }

    @Override
    Unmerge unmergeToExclude() {
        return unmerge;
    }

    @Override
    boolean isAlive() {
        return alive == null || alive.getAsBoolean();
    }

    @Override
    void discard(long from, long length) {
        throw new UnsupportedOperationException(
                "the memory of region " + this + " is adopted: its owner may discard it");
    }

    /** Removes the marks of this region where no other region wants them, and leaves the memory to its owner. */
    @Override
    void close(@Nullable NativeMapping views) {
        long length = 0;
        if (isOpen() && wantsSomething() && isAlive()) {
            for (AddressRange freed : withdrawn()) {
                length += freed.length();
            }
        }
        if (length > 0 && kernel.mustCheckBeforeUnmerging(length, unmerge)) {
            UnmergeCheck check = kernel.unmergeCheck;
            check.takeTurn();
            try {
                if (unmerge == Unmerge.STEPWISE) {
                    MarkChange.unmarkInSteps(whole());
                } else {
                    MarkChange.requireRoom(whole());
                }
                withdraw();
            } finally {
                check.endTurn();
            }
        } else {
            withdraw();
        }
        memoryHolder = null;
    }

    private void withdraw() {
        try {
            kernel.retrying(this, null);
        } catch (UnmappedRangeException e) {
            // The owner has unmapped some of the memory; its marks are gone as well.
            hasGaps = true;
            Log.debug("memory was unmapped before its region was closed", e);
            kernel.retrying(this, null);
        }
    }

    /** Returns the ranges to unmark when this region is closed: those that this region wants and no other does. */
    private List<AddressRange> withdrawn() {
        List<AddressRange> freed = wantedAlone();
        // If the process is opted in, its memory stays mergeable.
        return freed.isEmpty() || kernel.isOptedIn() ? List.of() : freed;
    }

    /** Returns the ranges that this region wants and no other region does. */
    private List<AddressRange> wantedAlone() {
        List<AddressRange> ranges = new ArrayList<>();
        table.forEachWantedBy(
                slot,
                (from, to, since) -> table.forEachUnwanted(
                        from,
                        to,
                        base -> base == slot.node,
                        (start, end, never) -> ranges.add(AddressRange.between(start, end))));
        return ranges;
    }

    /** Unmarks the memory where no other region wants it, and removes the region from the table. */
    @Override
    public @Nullable FailedCall make() {
        StackRoom.requireForChange();
        if (!slot.tryAcquire() && table.acquire(slots) != null) {
            return null;
        }
        boolean closed = false;
        FailedCall failedUndo = null;
        try {
            // If the region wants nothing, as after opening has failed, closing needs no memory.
            List<AddressRange> freed = wantsSomething() ? wantedAlone() : null;
            if (freed != null && !freed.isEmpty() && isAlive() && !kernel.isOptedIn()) {
                boolean mustUndo = true;
                try {
                    FailedCall failed = hasGaps
                            ? kernel.adviseMapped(freed, Linux.MADV_UNMERGEABLE)
                            : kernel.batchAdvice.advise(freed, Linux.MADV_UNMERGEABLE, null);
                    if (failed != null) {
                        return failed;
                    }
                    mustUndo = false;
                } finally {
                    if (mustUndo) {
                        failedUndo = kernel.undo(freed, Linux.MADV_MERGEABLE);
                    }
                }
            }
            table.close(slot);
            if (key != null) {
                GUARDED.remove(key, this);
            }
            closed = true;
            return null;
        } finally {
            if (!closed) {
                slot.release(0, 0);
            }
            Kernel.report(failedUndo);
        }
    }
}
