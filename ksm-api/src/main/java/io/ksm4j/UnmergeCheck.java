// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.Backoff;
import io.ksm4j.internal.Log;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.internal.linux.MemoryLeft;
import io.ksm4j.internal.linux.MergedPages;
import io.ksm4j.internal.management.SharedTable;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;

/** Checks, before merged pages are unmerged, that the copies fit into the memory that is left. See {@link Unmerge}. */
final class UnmergeCheck {

    /** How many bytes may be unmarked between two checks. */
    static final long LARGE = 4L << 20;

    /** How many bytes stay free for other processes, and for small unmarks, which are not checked. */
    static final long RESERVE = 16L << 20;

    /** How many bytes {@link Unmerge#STEPWISE} unmarks between two checks; a multiple of every page size. */
    static final long STEP = 16L << 20;

    /** All addresses at which a process can have memory. */
    private static final AddressRange EVERYTHING = new AddressRange(0, Long.MAX_VALUE);

    /** How many bytes all threads have unmarked since the last check that succeeded. */
    private static final AtomicLong UNCHECKED_BYTES = new AtomicLong();

    private final long pageSize;
    private final ProcSelf proc;
    private final MergedPages merged;
    private final MemoryLeft left;

    UnmergeCheck(Path root, ProcSelf proc, MergedPages merged, long pageSize) {
        this.pageSize = pageSize;
        this.proc = proc;
        this.merged = merged;
        this.left = new MemoryLeft(root);
    }

    /**
     * Returns whether a check is due before this many bytes are unmarked. Takes no lock and makes no garbage, unless a
     * check is due.
     */
    boolean isDue(long bytes) {
        if (UNCHECKED_BYTES.addAndGet(bytes) <= LARGE) {
            return false;
        }
        if (maxMergedBytes(bytes) > 0) {
            return true;
        }
        UNCHECKED_BYTES.set(0);
        return false;
    }

    /**
     * Waits until no other large unmark runs, so that no two of them count on the same memory. The caller owns no
     * region, and checks and unmarks before it ends its turn.
     */
    void takeTurn() {
        StackRoom.requireForOpening();
        Backoff.lock(SharedTable.table().unmergeTurn);
    }

    void endTurn() {
        SharedTable.table().unmergeTurn.unlock();
    }

    /**
     * Checks that the copies of merged pages fit into memory before ranges are unmarked.
     *
     * @param what the name of the operation, for the exception
     * @param next the ranges that are about to be unmarked
     * @param rest these and all that follow, for the exception
     * @param done how many bytes were unmarked before
     * @throws UnmergeRefusedException if they do not fit
     */
    void requireRoom(Supplier<String> what, List<AddressRange> next, Supplier<List<AddressRange>> rest, long done) {
        if (next.isEmpty()) {
            return;
        }
        long bound = maxMergedBytes(length(next));
        MemoryLeft.Left room = bound == 0 ? null : left.read();
        if (room != null && bound > room.bytes() - RESERVE) {
            long needed = mergedBytes(next, bound);
            boolean isKnown = needed != Long.MAX_VALUE || room.unreadable() != null;
            if (needed > 0 && isKnown && needed > room.bytes() - RESERVE) {
                List<AddressRange> all = rest.get();
                throw new UnmergeRefusedException(
                        what.get(),
                        all.equals(next) ? needed : mergedBytes(all, maxMergedBytes(length(all))),
                        room,
                        RESERVE,
                        done);
            }
        }
        UNCHECKED_BYTES.set(0);
    }

    /** Checks that the copies of all merged pages fit into memory before the process is opted out. */
    void requireRoomForAll() {
        requireRoom(() -> "opting the process out", List.of(EVERYTHING), () -> List.of(EVERYTHING), 0);
    }

    /** {@return whether the process may have so many merged pages that opting it out needs a check} */
    boolean isLarge() {
        return maxMergedBytes(Long.MAX_VALUE) > LARGE;
    }

    /**
     * {@return the maximum number of merged bytes in memory of this length; all of it if the kernel does not report it}
     */
    private long maxMergedBytes(long length) {
        long pages = merged.count();
        return pages == MergedPages.UNKNOWN ? length : Math.min(length, pages * pageSize);
    }

    /** {@return the merged bytes that {@code smaps} shows, plus all that are merged with the zero page anywhere} */
    private long mergedBytes(List<AddressRange> ranges, long bound) {
        try {
            return Math.min(bound, Math.max(0, merged.zeroPages()) * pageSize + proc.maxMergedBytes(ranges));
        } catch (RuntimeException e) {
            // A missing or unreadable /proc is no reason to fail.
            Log.debug("cannot read how much is merged; assuming the maximum", e);
            return bound;
        }
    }

    private static long length(List<AddressRange> ranges) {
        return ranges.stream().mapToLong(AddressRange::length).sum();
    }
}
