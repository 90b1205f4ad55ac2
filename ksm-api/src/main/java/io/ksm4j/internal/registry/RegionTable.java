// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.registry;

import static io.ksm4j.internal.registry.Nodes.NIL;

import io.ksm4j.internal.Backoff;
import io.ksm4j.internal.StackRoom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * All open regions of the JVM, and what each of them wants mergeable.
 *
 * <p>Several class loaders may each have loaded a copy of this class, and all copies share one table. Therefore the
 * table consists of JDK types only, and nothing in it refers to a class of ksm4j:
 *
 * <pre>
 * Object[] | lock | two turns | nodes  | owners | header | counters | index           | spares
 *                               |        |        |                   |
 *                               |        |        long[]              block: long[] (leaf), or Object[] (branch)
 *                               |        Object[] of String[]
 *                               Object[] of long[] (chunks)
 * </pre>
 *
 * <p>Three classes interpret these arrays: {@link Nodes} stores regions and pieces, {@link Wants} what is wanted of
 * them, and {@link RangeIndex} finds them by address. None of them has state of its own. {@link Slot} contains the
 * protocol by which threads own a region.
 *
 * <p><b>Locking.</b> One lock guards nodes and index. It is private to this class, held for moments, and never during a
 * system call. A thread that owns regions spins for it: when the heap is full, waiting virtual threads cannot be
 * unmounted, and an owner that was unmounted before might never run again. All other threads wait by polling
 * ({@link Backoff}), because a queue of waiters would need memory to wait and stack to wake.
 *
 * <p><b>Changing.</b> A change first reserves what it needs ({@link #reserve}, {@link #reserveToDetach}). The change
 * itself then allocates nothing, so it happens either as a whole or not at all, whatever resource runs out.
 */
public final class RegionTable {

    /**
     * The version of the layout of the shared arrays. Copies of ksm4j with different layouts cannot share a table; each
     * then has its own. The layout comprises all constants here and in {@link Nodes} that number slots, words and
     * flags, and {@code CAPACITY} and {@code WORDS} of {@link RangeIndex}.
     */
    public static final int LAYOUT = 4;

    // Elements of the shared array.
    private static final int SLOT_LOCK = 0;
    private static final int SLOT_UNMERGE_TURN = 1;
    private static final int SLOT_SPLIT_TURN = 2;
    static final int SLOT_NODES = 3;
    static final int SLOT_OWNERS = 4;
    static final int SLOT_HEADER = 5;
    private static final int SLOT_MERGEABLE_BYTES = 6;
    private static final int SLOT_LEAKS = 7;
    private static final int SLOT_INDEX = 8;
    private static final int SLOT_SPARES = 9;
    private static final int SLOT_MAPPINGS_LEFT = 10;
    private static final int SLOTS = 11;

    /** The initial value: a JVM that has just started is far from the maximum number of mappings. */
    private static final long MAPPINGS_LEFT_AT_FIRST = 256;

    private static final int[] NONE = {};

    private final Object[] shared;
    private final ReentrantLock lock;

    /** Held by the only thread of the JVM that unmerges much memory. An owner of regions does not wait for it. */
    public final ReentrantLock unmergeTurn;

    /** Held by the only thread of the JVM that splits mappings. An owner of regions does not wait for it. */
    public final ReentrantLock splitTurn;

    /** The number of bytes that regions want, each byte counted once. */
    public final AtomicLong mergeableBytes;

    /** The number of regions that became unreachable before they were closed, and were reclaimed. */
    public final AtomicLong leaks;

    /** The number of mappings that may be added before they are counted again. */
    public final AtomicLong mappingsLeft;

    final Nodes nodes;
    final RangeIndex index;
    final Wants wants;

    // Searches, created in advance, because nothing may be allocated while the table is being changed.
    private final FirstBusy firstBusy = new FirstBusy();
    private final FirstOther firstOther = new FirstOther();
    private final OverlappedSetter overlappedSetter = new OverlappedSetter();
    private final OverlappedClearer overlappedClearer = new OverlappedClearer();

    /** Creates a table from arrays that {@link #newShared()} has created, possibly in another copy of ksm4j. */
    public RegionTable(Object[] shared) {
        this.shared = shared;
        this.lock = (ReentrantLock) shared[SLOT_LOCK];
        this.unmergeTurn = (ReentrantLock) shared[SLOT_UNMERGE_TURN];
        this.splitTurn = (ReentrantLock) shared[SLOT_SPLIT_TURN];
        this.mergeableBytes = (AtomicLong) shared[SLOT_MERGEABLE_BYTES];
        this.leaks = (AtomicLong) shared[SLOT_LEAKS];
        this.mappingsLeft = (AtomicLong) shared[SLOT_MAPPINGS_LEFT];
        this.nodes = new Nodes(shared);
        this.index = new RangeIndex(shared, SLOT_INDEX, SLOT_SPARES);
        this.wants = new Wants(nodes, index);
    }

    /** Returns the arrays of an empty table. */
    public static Object[] newShared() {
        Object[] shared = new Object[SLOTS];
        shared[SLOT_LOCK] = new ReentrantLock();
        shared[SLOT_UNMERGE_TURN] = new ReentrantLock();
        shared[SLOT_SPLIT_TURN] = new ReentrantLock();
        Nodes.create(shared);
        shared[SLOT_MERGEABLE_BYTES] = new AtomicLong();
        shared[SLOT_LEAKS] = new AtomicLong();
        shared[SLOT_MAPPINGS_LEFT] = new AtomicLong(MAPPINGS_LEFT_AT_FIRST);
        shared[SLOT_INDEX] = RangeIndex.newTop();
        shared[SLOT_SPARES] = RangeIndex.newSpares();
        return shared;
    }

    /** Returns the arrays, for other copies of ksm4j. */
    public Object[] shared() {
        return shared;
    }

    // ---- The lock

    private void lock() {
        Backoff.lock(lock);
    }

    /** Takes the lock without yielding the processor. Never fails if the stack was checked before. */
    private void spinLock() {
        Backoff.spin(lock);
    }

    /** The same as {@link #spinLock()}, for callers that may or may not own regions. */
    private void checkedSpinLock() {
        StackRoom.requireForLock();
        spinLock();
    }

    // ---- Owning regions

    /**
     * Waits until none of these regions and none that overlap them are busy, and owns them all at once, so that two
     * threads never wait for each other. If it throws an exception, it owns none of them. Release them with
     * {@link Slot#release(Slot[])}.
     *
     * @return the first region that is closed, in which case none is owned; or null
     */
    public @Nullable Slot acquire(Slot... slots) {
        StackRoom.requireForChange();
        Backoff backoff = null;
        try {
            while (true) {
                lock();
                try {
                    for (Slot slot : slots) {
                        if (!slot.isOpen()) {
                            return slot;
                        }
                    }
                    if (tryAcquireAll(slots)) {
                        return null;
                    }
                } finally {
                    lock.unlock();
                }
                if (backoff == null) {
                    backoff = new Backoff();
                }
                backoff.pause();
            }
        } finally {
            if (backoff != null) {
                backoff.end();
            }
        }
    }

    /**
     * Owns all regions or none. The lock excludes all threads except those that own a region without it: one of them
     * may win the race.
     */
    private boolean tryAcquireAll(Slot[] slots) {
        for (Slot slot : slots) {
            if (isBusyOrOverlapsBusy(slot)) {
                return false;
            }
        }
        for (int i = 0; i < slots.length; i++) {
            long seen = slots[i].state();
            if ((seen & Slot.BUSY) != 0 || !slots[i].compareAndSet(seen, seen | Slot.BUSY)) {
                while (--i >= 0) {
                    slots[i].setFlags(0, Slot.BUSY);
                }
                return false;
            }
        }
        for (Slot slot : slots) {
            if (slot.is(Slot.UNCOUNTED)) {
                long length = nodes.end(slot.node) - nodes.start(slot.node);
                mergeableBytes.addAndGet(slot.is(Slot.MARKED) ? length : -length);
                slot.setFlags(0, Slot.UNCOUNTED);
            }
        }
        return true;
    }

    private boolean isBusyOrOverlapsBusy(Slot slot) {
        // If no other region overlaps it, only its pieces do. There may be thousands, and they are never busy.
        return slot.is(Slot.OVERLAPPED)
                ? firstBusy.in(nodes.start(slot.node), nodes.end(slot.node)) != NIL
                : slot.is(Slot.BUSY);
    }

    // ---- Opening and closing

    /**
     * Adds a region of memory that was not mapped by ksm4j. It wants nothing yet. Waits until no region that overlaps
     * it is busy. Yielding regions no longer want what they share with an excluded one.
     *
     * @param flags {@link Slot#EXCLUDED}, {@link Slot#RECORDED}, {@link Slot#GUARDED}, {@link Slot#YIELDING}, or 0
     * @throws IllegalStateException if it overlaps a region with which it cannot share pages; then nothing is added
     */
    public Slot open(long start, long end, long flags, String owner) {
        return new Opening() {
            @Override
            @Nullable
            Slot attempt() {
                return tryOpen(start, end, flags, owner);
            }
        }.await();
    }

    /**
     * Adds a region of memory that the kernel has just mapped. The memory of regions that overlap the mapping no longer
     * exists, so they are detached from it. Waits until none of them is busy.
     */
    public Slot openMapped(long start, long end, long mappedFrom, long mappedTo, long flags, String owner) {
        return new Opening() {
            @Override
            @Nullable
            Slot attempt() {
                return tryOpenMapped(start, end, mappedFrom, mappedTo, flags, owner);
            }
        }.await();
    }

    /**
     * Opens a region as soon as that is possible. A class, because the first lambda of a program takes longer than
     * opening its first region.
     */
    private abstract class Opening {

        /** Returns null if a region that overlaps the new one is busy. */
        abstract @Nullable Slot attempt();

        final Slot await() {
            Backoff backoff = new Backoff();
            try {
                while (true) {
                    lock();
                    try {
                        Slot slot = attempt();
                        if (slot != null) {
                            return slot;
                        }
                    } finally {
                        lock.unlock();
                    }
                    backoff.pause();
                }
            } finally {
                backoff.end();
            }
        }
    }

    private @Nullable Slot tryOpen(long start, long end, long flags, String owner) {
        if (firstOther.in(start, end, NIL) == NIL) {
            return addAlone(start, end, flags, owner);
        }
        if (firstBusy.in(start, end) != NIL) {
            return null;
        }
        boolean excluded = (flags & Slot.EXCLUDED) != 0;
        boolean recorded = (flags & Slot.RECORDED) != 0;
        index.forEachOverlapping(start, end, (node, from, to) -> {
            // A detached region may still cover these addresses, but other memory may be there now.
            if (!nodes.is(node, Slot.DETACHED)) {
                boolean yields = excluded && nodes.is(nodes.base(node), Slot.YIELDING);
                if (nodes.is(node, Slot.EXCLUDED) != excluded && !yields) {
                    throw new IllegalStateException(hex(start, end) + " shares pages with an open region that "
                            + (excluded ? "may merge: close that region first" : "must never merge"));
                }
                if (!nodes.is(node, Slot.PIECE) && nodes.is(node, Slot.RECORDED) != recorded) {
                    throw new IllegalStateException(hex(start, end) + " shares pages with an open region of "
                            + (recorded
                                    ? "a Ksm that merges: use that"
                                    : "a fallback Ksm, which does not merge: close it first"));
                }
            }
            return true;
        });
        int[] yielding = excluded ? basesOverlapping(start, end, Slot.YIELDING, NIL) : NONE;
        Slot slot = add(start, end, flags, owner, yielding);
        if (slot != null) {
            for (int base : yielding) {
                unwant(base, start, end);
            }
        }
        return slot;
    }

    private static String hex(long start, long end) {
        return Long.toHexString(start) + "-" + Long.toHexString(end);
    }

    private @Nullable Slot tryOpenMapped(
            long start, long end, long mappedFrom, long mappedTo, long flags, String owner) {
        if (firstOther.in(mappedFrom, mappedTo, NIL) == NIL) {
            return addAlone(start, end, flags, owner);
        }
        if (firstBusy.in(mappedFrom, mappedTo) != NIL) {
            return null;
        }
        int[] gone = basesOverlapping(mappedFrom, mappedTo, 0, NIL);
        Slot slot = add(start, end, flags, owner, gone);
        if (slot != null) {
            detach(gone, mappedFrom, mappedTo);
        }
        return slot;
    }

    /** Adds a region that overlaps no other. */
    private Slot addAlone(long start, long end, long flags, String owner) {
        nodes.makeRoom(index, 1);
        Slot slot = nodes.slot(nodes.next());
        index.add(start, end, nodes.addBase(start, end, owner, flags));
        return slot;
    }

    /** @param changed the regions that will lose what they want in this range */
    private @Nullable Slot add(long start, long end, long flags, String owner, int[] changed) {
        nodes.makeRoom(index, 1 + nodesToDetach(changed));
        Slot slot = nodes.slot(nodes.next());
        boolean overlapped = firstOther.in(start, end, NIL) != NIL;
        if (overlapped && !overlappedSetter.setIn(start, end)) {
            // A region was acquired without the lock.
            index.forEachOverlapping(start, end, overlappedClearer);
            return null;
        }
        int node = nodes.addBase(start, end, owner, flags | (overlapped ? Slot.OVERLAPPED : 0));
        index.add(start, end, node);
        return slot;
    }

    /**
     * Removes an owned region and all its marks. The slot is stale afterwards and need not be released. Allocates
     * nothing.
     */
    public void close(Slot slot) {
        close(slot, NONE);
    }

    /**
     * Removes an owned region whose memory is about to be unmapped, and detaches others from that memory. Allocates
     * nothing.
     *
     * @param others the result of {@link #reserveToDetach}
     */
    public void close(Slot slot, int[] others) {
        spinLock();
        try {
            int base = slot.node;
            long start = nodes.start(base);
            long end = nodes.end(base);
            nodes.unreserve(nodesToDetach(others));
            detach(others, start, end);
            if (nodes.is(base, Slot.OVERLAPPED | Slot.PARTIAL)) {
                unwant(base, start, end);
            } else if (nodes.is(base, Slot.MARKED)) {
                mergeableBytes.addAndGet(start - end);
            }
            boolean overlapped = nodes.is(base, Slot.OVERLAPPED);
            index.remove(start, base);
            nodes.removeBase(base);
            if (overlapped) {
                index.forEachOverlapping(start, end, overlappedClearer);
            }
        } finally {
            lock.unlock();
        }
    }

    /**
     * Reserves the nodes that are needed to detach other regions from the memory of an owned region.
     *
     * @return the other regions, for {@link #close(Slot, int[])} or {@link #unreserveToDetach}
     */
    public int[] reserveToDetach(Slot slot) {
        spinLock();
        try {
            int[] others = basesOverlapping(nodes.start(slot.node), nodes.end(slot.node), 0, slot.node);
            nodes.reserve(index, nodesToDetach(others));
            return others;
        } finally {
            lock.unlock();
        }
    }

    /** Releases the nodes that {@link #reserveToDetach} has reserved. */
    public void unreserveToDetach(int[] others) {
        spinLock();
        nodes.unreserve(nodesToDetach(others));
        lock.unlock();
    }

    private static int nodesToDetach(int[] bases) {
        return Wants.NODES_TO_DETACH * bases.length;
    }

    private void detach(int[] bases, long from, long to) {
        for (int base : bases) {
            long before = wants.bytes(from, to);
            wants.detach(base, from, to);
            mergeableBytes.addAndGet(wants.bytes(from, to) - before);
        }
    }

    /** Returns the open regions that overlap a range and have all of these flags, except one. */
    private int[] basesOverlapping(long from, long to, long flags, int but) {
        if (firstOther.in(from, to, but) == NIL) {
            return NONE;
        }
        int[][] found = {NONE};
        index.forEachOverlapping(from, to, (node, start, end) -> {
            if (node != but && !nodes.is(node, Slot.PIECE) && (flags == 0 || nodes.is(node, flags))) {
                found[0] = Arrays.copyOf(found[0], found[0].length + 1);
                found[0][found[0].length - 1] = node;
            }
            return true;
        });
        return found[0];
    }

    // ---- Changing what regions want

    /**
     * One change of what an owned region wants.
     *
     * @param since when the part became wanted, in milliseconds since the epoch
     */
    public record Want(Slot slot, long from, long to, long since) {}

    /**
     * Reserves the nodes that are needed to change this number of parts of regions, until {@link #unreserve} or
     * {@link #commit} is called.
     */
    public void reserve(int parts) {
        spinLock();
        try {
            nodes.reserve(index, parts * Wants.NODES_FOR_PART);
        } finally {
            lock.unlock();
        }
    }

    /** Releases the nodes that {@link #reserve} has reserved. */
    public void unreserve(int parts) {
        spinLock();
        nodes.unreserve(parts * Wants.NODES_FOR_PART);
        lock.unlock();
    }

    /**
     * Makes owned regions want parts of themselves, or no longer want them. Allocates nothing.
     *
     * @param reserved the number of parts that were reserved; their nodes are released
     */
    public void commit(List<Want> changes, boolean wanted, int reserved) {
        spinLock();
        try {
            nodes.unreserve(reserved * Wants.NODES_FOR_PART);
            for (int i = 0; i < changes.size(); i++) {
                Want change = changes.get(i);
                if (wanted) {
                    want(change);
                } else {
                    unwant(change.slot().node, change.from(), change.to());
                }
            }
        } finally {
            lock.unlock();
        }
    }

    private void want(Want change) {
        long before = wants.bytes(change.from(), change.to());
        wants.want(change.slot().node, change.from(), change.to(), change.since());
        mergeableBytes.addAndGet(wants.bytes(change.from(), change.to()) - before);
    }

    private void unwant(int base, long from, long to) {
        long before = wants.bytes(from, to);
        wants.unwant(base, from, to);
        mergeableBytes.addAndGet(wants.bytes(from, to) - before);
    }

    /** Makes an owned region want nothing. Allocates nothing. */
    public void unwantAll(Slot slot) {
        spinLock();
        try {
            unwant(slot.node, nodes.start(slot.node), nodes.end(slot.node));
        } finally {
            lock.unlock();
        }
    }

    // ---- Reading

    /** Returns how many regions are open. */
    public long openRegions() {
        lock();
        try {
            return nodes.openRegions();
        } finally {
            lock.unlock();
        }
    }

    /**
     * Returns the open regions, either those of fallbacks or all others. Each is in an array of its own as the argument
     * for {@link #acquire}, so that owning it needs no memory.
     */
    public List<Slot[]> slots(boolean recorded) {
        List<Slot[]> slots = new ArrayList<>();
        lock();
        try {
            index.forEachOverlapping(0, Long.MAX_VALUE, (node, start, end) -> {
                if (!nodes.is(node, Slot.PIECE) && nodes.is(node, Slot.RECORDED) == recorded) {
                    slots.add(new Slot[] {nodes.slot(node)});
                }
                return true;
            });
        } finally {
            lock.unlock();
        }
        return slots;
    }

    /**
     * A range that one region wants.
     *
     * @param since when it was marked, in milliseconds since the epoch
     */
    public record Mark(long start, long end, String owner, long since) {}

    /** Returns the marks that overlap a range, at most this number, in order of address. */
    public List<Mark> marks(long from, long to, int max) {
        List<Mark> marks = new ArrayList<>();
        lock();
        try {
            index.forEachOverlapping(from, to, (node, start, end) -> {
                if (nodes.isWanted(node)) {
                    marks.add(new Mark(start, end, nodes.owner(node), nodes.since(node)));
                }
                return marks.size() < max;
            });
        } finally {
            lock.unlock();
        }
        return marks;
    }

    /** {@return whether an open region that does not yield overlaps a range} */
    public boolean isUsed(long from, long to) {
        return isAny(from, to, node -> !nodes.is(node, Slot.PIECE) && !nodes.is(node, Slot.YIELDING));
    }

    /** {@return whether a range contains memory that must never merge} */
    public boolean isExcluded(long from, long to) {
        return isAny(from, to, node -> nodes.is(node, Slot.EXCLUDED));
    }

    private boolean isAny(long from, long to, IntPredicate condition) {
        checkedSpinLock();
        try {
            boolean[] found = new boolean[1];
            index.forEachOverlapping(from, to, (node, start, end) -> {
                found[0] = condition.test(node);
                return !found[0];
            });
            return found[0];
        } finally {
            lock.unlock();
        }
    }

    /** {@return whether any region wants the page at an address} */
    public boolean isWantedAt(long address) {
        lock();
        try {
            return wants.bytes(address, address + 1) > 0;
        } finally {
            lock.unlock();
        }
    }

    /** {@return whether any region wants a byte of an owned region} */
    public boolean isAnyWanted(Slot slot) {
        spinLock();
        try {
            return wants.bytes(nodes.start(slot.node), nodes.end(slot.node)) > 0;
        } finally {
            lock.unlock();
        }
    }

    /**
     * Visits the parts of a range that no region wants, in order of address.
     *
     * @param ignored the nodes of regions that do not count
     */
    public void forEachUnwanted(long from, long to, IntPredicate ignored, RangeVisitor visitor) {
        checkedSpinLock();
        try {
            wants.forEachUnwanted(from, to, ignored, visitor);
        } finally {
            lock.unlock();
        }
    }

    /**
     * Visits the parts of a range that regions want, each address once, in order of address. Regions of fallbacks do
     * not count.
     */
    public void forEachMarked(long from, long to, RangeVisitor visitor) {
        lock();
        try {
            wants.forEachMarked(from, to, visitor);
        } finally {
            lock.unlock();
        }
    }

    /** A region and its range. */
    public record Region(Slot slot, long start, long end) {}

    /**
     * Does the same, and returns the regions that want those parts, each once. The result may also contain regions that
     * overlap the range but want only memory outside it.
     */
    public List<Region> marking(long from, long to, RangeVisitor visitor) {
        List<Region> regions = new ArrayList<>();
        lock();
        try {
            wants.forEachMarked(from, to, visitor);
            index.forEachOverlapping(from, to, (node, start, end) -> {
                if (!nodes.is(node, Slot.PIECE)
                        && nodes.is(node, Slot.MARKED | Slot.PARTIAL)
                        && !nodes.is(node, Slot.RECORDED)) {
                    regions.add(new Region(nodes.slot(node), start, end));
                }
                return true;
            });
        } finally {
            lock.unlock();
        }
        return regions;
    }

    /** Visits the parts of a range that one region wants, in order of address. */
    public void forEachWantedBy(Slot slot, long from, long to, RangeVisitor visitor) {
        checkedSpinLock();
        try {
            wants.forEachWantedBy(slot.node, from, to, visitor);
        } finally {
            lock.unlock();
        }
    }

    /** Visits all parts that a region wants, in order of address. */
    public void forEachWantedBy(Slot slot, RangeVisitor visitor) {
        forEachWantedBy(slot, 0, Long.MAX_VALUE, visitor);
    }

    /** Visits all parts of a region that must never merge, in order of address. */
    public void forEachExcludedBy(Slot slot, RangeVisitor visitor) {
        checkedSpinLock();
        try {
            index.forEachOverlapping(nodes.start(slot.node), nodes.end(slot.node), (node, start, end) -> {
                if (nodes.base(node) == slot.node && nodes.is(node, Slot.EXCLUDED)) {
                    visitor.visit(start, end, 0);
                }
                return true;
            });
        } finally {
            lock.unlock();
        }
    }

    // ---- Flags of regions that overlap

    private final class FirstBusy implements RangeIndex.NodeVisitor {
        private int found;

        int in(long from, long to) {
            found = NIL;
            index.forEachOverlapping(from, to, this);
            return found;
        }

        @Override
        public boolean visit(int node, long start, long end) {
            if (!nodes.is(node, Slot.BUSY)) {
                return true;
            }
            found = node;
            return false;
        }
    }

    private final class FirstOther implements RangeIndex.NodeVisitor {
        private int base;
        private int found;

        /** Returns the first region that is not this one, or {@code NIL}. */
        int in(long from, long to, int base) {
            this.base = base;
            found = NIL;
            index.forEachOverlapping(from, to, this);
            return found;
        }

        @Override
        public boolean visit(int node, long start, long end) {
            if (node == base || nodes.is(node, Slot.PIECE)) {
                return true;
            }
            found = node;
            return false;
        }
    }

    private final class OverlappedSetter implements RangeIndex.NodeVisitor {
        private boolean metBusy;

        /** Returns false if a region is busy. */
        boolean setIn(long from, long to) {
            metBusy = false;
            index.forEachOverlapping(from, to, this);
            return !metBusy;
        }

        @Override
        public boolean visit(int node, long start, long end) {
            metBusy = !nodes.is(node, Slot.PIECE) && !nodes.trySetOverlapped(node);
            return !metBusy;
        }
    }

    private final class OverlappedClearer implements RangeIndex.NodeVisitor {

        @Override
        public boolean visit(int node, long start, long end) {
            if (!nodes.is(node, Slot.PIECE) && firstOther.in(start, end, node) == NIL) {
                nodes.setFlags(node, 0, Slot.OVERLAPPED);
            }
            return true;
        }
    }
}
