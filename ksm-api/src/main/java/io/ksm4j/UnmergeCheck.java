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

/** Looks, before merged pages are taken apart, whether the copies fit into the memory that is left. See {@link Unmerge}. */
final class UnmergeCheck {

    /** What may be unmarked between two looks. */
    static final long LARGE = 4L << 20;

    /** What is left to others, and for unmarks that are not looked at. */
    static final long RESERVE = 16L << 20;

    /** How much {@link Unmerge#STEPWISE} unmarks between two looks; a multiple of every page size. */
    static final long STEP = 16L << 20;

    /** Where a process can have memory. */
    private static final AddressRange EVERYTHING = new AddressRange(0, Long.MAX_VALUE);

    /** Bytes that all threads have unmarked since the last look that found room. */
    private static final AtomicLong UNSEEN = new AtomicLong();

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

    /** Whether it is time to look, before this much is unmarked. No lock and no garbage, unless pages are merged and it is time. */
    boolean isDue(long bytes) {
        if (UNSEEN.addAndGet(bytes) <= LARGE) {
            return false;
        }
        if (mergedAtMost(bytes) > 0) {
            return true;
        }
        UNSEEN.set(0);
        return false;
    }

    /**
     * Large unmarks take turns, so that none counts on memory that another is about to take. The caller owns no region, and looks and unmarks before
     * it ends its turn.
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
     * @param what names the operation; used for the exception only
     * @param next what is about to be unmarked
     * @param rest that, and what is to follow; used for the exception only
     * @param done how many bytes were unmarked before
     * @throws UnmergeRefusedException if they do not fit
     */
    void requireRoom(Supplier<String> what, List<AddressRange> next, Supplier<List<AddressRange>> rest, long done) {
        if (next.isEmpty()) {
            return;
        }
        long bound = mergedAtMost(length(next));
        MemoryLeft.Left room = bound == 0 ? null : left.read();
        if (room != null && bound > room.bytes() - RESERVE) {
            long needed = mergedBytes(next, bound);
            boolean isKnown = needed != Long.MAX_VALUE || room.unreadable() != null;
            if (needed > 0 && isKnown && needed > room.bytes() - RESERVE) {
                List<AddressRange> all = rest.get();
                throw new UnmergeRefusedException(
                        what.get(),
                        all.equals(next) ? needed : mergedBytes(all, mergedAtMost(length(all))),
                        room,
                        RESERVE,
                        done);
            }
        }
        UNSEEN.set(0);
    }

    /** Checks the same before the whole process is opted out. */
    void requireRoomForAll() {
        requireRoom(() -> "opting the process out", List.of(EVERYTHING), () -> List.of(EVERYTHING), 0);
    }

    /** Whether so many pages of the process may be merged that opting it out has to be looked at. */
    boolean isLarge() {
        return mergedAtMost(Long.MAX_VALUE) > LARGE;
    }

    /** Bytes that may be merged in memory of this length; all of it if the kernel doesn't tell. */
    private long mergedAtMost(long length) {
        long pages = merged.count();
        return pages == MergedPages.UNKNOWN ? length : Math.min(length, pages * pageSize);
    }

    /** Bytes that are merged: those {@code smaps} shows, and as many more as are merged with the zero page anywhere. */
    private long mergedBytes(List<AddressRange> ranges, long bound) {
        try {
            return Math.min(bound, Math.max(0, merged.zeroPages()) * pageSize + proc.mergedBytesAtMost(ranges));
        } catch (RuntimeException e) {
            // No /proc, or garbage in it, is no reason to fail.
            Log.debug("cannot read how much is merged; taking what may be", e);
            return bound;
        }
    }

    private static long length(List<AddressRange> ranges) {
        return ranges.stream().mapToLong(AddressRange::length).sum();
    }
}
