package io.ksm4j;

import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
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

    /**
     * Large unmarks take turns, so that none counts on memory that another is about to take, whichever class loader they come from:
     * a literal is one object in a JVM.
     */
    private static final Object TURN = "io.ksm4j.UnmergeCheck/turn";

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

    /** Has the kernel told about ranges, after a look, or in steps with a look before each. */
    void takeApart(List<AddressRange> ranges, Unmerge how, Consumer<List<AddressRange>> unmark) {
        synchronized (TURN) {
            long length = length(ranges);
            long done = 0;
            List<List<AddressRange>> steps = how == Unmerge.STEPWISE ? steps(ranges) : List.of(ranges);
            for (int i = 0; i < steps.size(); i++) {
                List<AddressRange> step = steps.get(i);
                List<List<AddressRange>> rest = steps.subList(i, steps.size());
                requireRoom(
                        step,
                        () -> rest.stream().flatMap(List::stream).toList(),
                        () -> "unmarking " + length + " bytes from " + ranges.get(0) + " on",
                        done);
                unmark.accept(step);
                done += length(step);
            }
        }
    }

    /** As {@link #takeApart}, for all the memory of the process. */
    void takeAllApart(Runnable unmark) {
        synchronized (TURN) {
            requireRoom(List.of(EVERYTHING), () -> List.of(EVERYTHING), () -> "opting the process out", 0);
            unmark.run();
        }
    }

    /** Whether so many pages of the process may be merged that opting it out has to be looked at. */
    boolean isLarge() {
        return mergedAtMost(Long.MAX_VALUE) > LARGE;
    }

    private void requireRoom(
            List<AddressRange> next, Supplier<List<AddressRange>> rest, Supplier<String> what, long done) {
        long bound = mergedAtMost(length(next));
        MemoryLeft.Left room = bound == 0 ? null : left.read();
        if (room != null && bound > room.bytes() - RESERVE) {
            long needed = mergedBytes(next, bound);
            if (needed > 0 && needed != Long.MAX_VALUE && needed > room.bytes() - RESERVE) {
                List<AddressRange> all = rest.get();
                throw new UnmergeRefusedException(
                        what.get(),
                        all.equals(next) ? needed : mergedBytes(all, mergedAtMost(length(all))),
                        room,
                        done);
            }
        }
        UNSEEN.set(0);
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
            Ksm.logger().log(Level.DEBUG, "cannot read how much is merged; taking what may be", e);
            return bound;
        }
    }

    private static List<List<AddressRange>> steps(List<AddressRange> ranges) {
        List<List<AddressRange>> steps = new ArrayList<>();
        List<AddressRange> step = new ArrayList<>();
        long room = STEP;
        for (AddressRange range : ranges) {
            for (long from = range.start(); from < range.end(); ) {
                long to = Math.min(range.end(), from + room);
                step.add(AddressRange.between(from, to));
                room -= to - from;
                from = to;
                if (room == 0) {
                    steps.add(step);
                    step = new ArrayList<>();
                    room = STEP;
                }
            }
        }
        if (!step.isEmpty()) {
            steps.add(step);
        }
        return steps;
    }

    private static long length(List<AddressRange> ranges) {
        return ranges.stream().mapToLong(AddressRange::length).sum();
    }
}
