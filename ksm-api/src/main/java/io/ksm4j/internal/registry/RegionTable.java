package io.ksm4j.internal.registry;

import io.ksm4j.internal.Backoff;
import io.ksm4j.internal.StackRoom;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Every open region of the JVM and what each wants merged.
 *
 * <p>Several class loaders may each have loaded a copy of this class, and all copies work on one table. So the table holds
 * JDK types only: its nodes lie in arrays of {@code long}, six to a node, and nothing in it refers to a class of ours. This class
 * gives those numbers names; it has no state of its own.
 *
 * <p>There are two kinds of node. A <em>base</em> is an open region. A <em>piece</em> is a part of a region that is wanted
 * mergeable while the rest is not; a region that is wanted whole, or not at all, has no pieces. A node keeps its place for as long
 * as its region is open. The {@link RangeIndex} knows the nodes by their ranges.
 *
 * <p>Locking: {@link #lock()} guards the nodes and the index. It is held for moments, and never during a system call. A base's state
 * word changes by compare-and-set, and the thread that sets its {@link #BUSY} bit owns the region and its pages until it clears
 * the bit. No region becomes busy while one that overlaps it is, and none is opened over a busy one. A region that overlaps no other
 * and has no pieces is taken without the lock.
 *
 * <p>Waiting is polling ({@link Backoff}). A queue of waiters would need memory to wait and stack to wake, and a thread that runs out of
 * either would leave the others waiting for good. While virtual threads wait that cannot be unmounted for want of heap, an owner that was
 * unmounted might never run again. So an owner does nothing that can unmount it: of the lock it waits by spinning.
 *
 * <p>Changing: first everything is made sure of that a change needs ({@link #reserve}), then it is made. Methods that change the table
 * allocate nothing after that, so that a change is made or is not, whatever is short.
 */
public final class RegionTable {

    /** Somebody is changing what this region wants, or closing it. */
    public static final long BUSY = 1;
    /** The whole region is wanted mergeable. */
    public static final long MARKED = 1 << 1;
    /** Another open region shares pages with this one. */
    public static final long OVERLAPPED = 1 << 2;
    /** Parts of the region are wanted mergeable: there are pieces. */
    public static final long PARTIAL = 1 << 3;
    /** The region must never merge. */
    public static final long EXCLUDED = 1 << 4;
    /** The node is a piece, not a base. */
    public static final long PIECE = 1 << 5;
    /** Memory of the region was unmapped by the region that owned it. */
    public static final long DETACHED = 1 << 6;
    /** What the region wants is recorded and told to nobody: it is a fallback region. */
    public static final long RECORDED = 1 << 7;
    /** Somebody can tell whether the region's memory still exists. */
    public static final long GUARDED = 1 << 8;
    /** {@link #MARKED} has changed, and {@link #mergeableBytes} does not show it yet: there was no stack for that. */
    public static final long UNCOUNTED = 1 << 9;

    /** Bumped whenever the layout changes: copies of ksm4j with different layouts cannot share a table. */
    public static final int LAYOUT = 3;

    /** No node. */
    public static final int NIL = 0;

    private static final int[] NONE = {};

    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

    private static final int CHUNK_SHIFT = 10;
    private static final int CHUNK_NODES = 1 << CHUNK_SHIFT;

    // Words of a node. A chunk holds first the states of its nodes, so that as many as can be are in the processor's
    // caches when a
    // look-up asks for one, and then the rest, node by node.
    private static final int STATE = 0;
    private static final int START = 1;
    private static final int END = 2;
    /** When the node became wanted, in milliseconds since the epoch. */
    private static final int SINCE = 3;
    /** The base of a piece; of a base, itself. */
    private static final int BASE = 4;
    /** Of a base: how many pieces it has. Of a free node: the next free node. */
    private static final int PIECES = 5;

    private static final int WORDS = 6;

    /** How many states a cache line holds. Those of successive nodes lie on different lines, or threads that mark would disturb each other. */
    private static final int LINE = 8;

    // Slots of the shared array.
    private static final int SLOT_LOCK = 0;
    private static final int SLOT_UNMERGE_TURN = 1;
    private static final int SLOT_SPLIT_TURN = 2;
    private static final int SLOT_NODES = 3;
    private static final int SLOT_OWNERS = 4;
    private static final int SLOT_HEADER = 5;
    private static final int SLOT_MERGEABLE_BYTES = 6;
    private static final int SLOT_LEAKS = 7;
    private static final int SLOT_INDEX = 8;
    private static final int SLOT_SPARES = 9;
    private static final int SLOT_MAPPINGS_LEFT = 10;
    private static final int SLOTS = 11;

    /** A JVM that has just started is far from the limit of mappings. */
    private static final long MAPPINGS_LEFT_AT_FIRST = 256;

    // Words of the header.
    /** How many nodes were ever used; the next new one's number. */
    private static final int USED = 0;
    /** The first free node. */
    private static final int FREE = 1;
    /** How many free nodes there are. */
    private static final int FREE_COUNT = 2;
    /** How many nodes are promised by {@link #reserve}. */
    private static final int RESERVED = 3;

    private static final int OPEN_REGIONS = 4;
    private static final int HEADER_WORDS = 5;

    private final Object[] shared;
    private final ReentrantLock lock;

    /** Held by the one thread of the JVM that takes many merged pages apart; not by an owner of regions. */
    public final ReentrantLock unmergeTurn;

    /** Held by the one thread of the JVM that splits mappings; not by an owner of regions. */
    public final ReentrantLock splitTurn;

    private final long[] header;

    /** Bytes that some region wants, each counted once. */
    public final AtomicLong mergeableBytes;

    public final AtomicLong leaks;

    /** How many mappings may be added before they are counted. */
    public final AtomicLong mappingsLeft;

    private final RangeIndex index;

    // For use with the lock held.
    private final FirstBusy firstBusy = new FirstBusy();
    private final FirstPiece firstPiece = new FirstPiece();
    private final FirstOther firstOther = new FirstOther();
    private final WantedBytes wantedBytes = new WantedBytes();
    private final OverlappedSetter overlappedSetter = new OverlappedSetter();
    private final RangeIndex.NodeVisitor clearOverlapped = new OverlappedClearer();

    public RegionTable(Object[] shared) {
        this.shared = shared;
        this.lock = (ReentrantLock) shared[SLOT_LOCK];
        this.unmergeTurn = (ReentrantLock) shared[SLOT_UNMERGE_TURN];
        this.splitTurn = (ReentrantLock) shared[SLOT_SPLIT_TURN];
        this.header = (long[]) shared[SLOT_HEADER];
        this.mergeableBytes = (AtomicLong) shared[SLOT_MERGEABLE_BYTES];
        this.leaks = (AtomicLong) shared[SLOT_LEAKS];
        this.mappingsLeft = (AtomicLong) shared[SLOT_MAPPINGS_LEFT];
        this.index = new RangeIndex(shared, SLOT_INDEX, SLOT_SPARES);
    }

    /** A new table, in JDK types only. */
    public static Object[] newShared() {
        Object[] shared = new Object[SLOTS];
        shared[SLOT_LOCK] = new ReentrantLock();
        shared[SLOT_UNMERGE_TURN] = new ReentrantLock();
        shared[SLOT_SPLIT_TURN] = new ReentrantLock();
        shared[SLOT_NODES] = new Object[] {new long[CHUNK_NODES * WORDS]};
        shared[SLOT_OWNERS] = new Object[] {new String[CHUNK_NODES]};
        long[] header = new long[HEADER_WORDS];
        header[USED] = NIL + 1;
        header[FREE] = NIL;
        shared[SLOT_HEADER] = header;
        shared[SLOT_MERGEABLE_BYTES] = new AtomicLong();
        shared[SLOT_LEAKS] = new AtomicLong();
        shared[SLOT_MAPPINGS_LEFT] = new AtomicLong(MAPPINGS_LEFT_AT_FIRST);
        shared[SLOT_INDEX] = RangeIndex.newTop();
        shared[SLOT_SPARES] = RangeIndex.newSpares();
        return shared;
    }

    public Object[] shared() {
        return shared;
    }

    /** Where one base's state word is, with the generation that proves the node is still that region's. */
    public static final class Slot {
        public final int node;
        public final int generation;

        // For RegionState.tryAdvise, which clears BUSY without a call where there is no stack for one.
        public final long[] chunk;
        public final int state;

        private Slot(int node, int generation, long[] chunk, int state) {
            this.node = node;
            this.generation = generation;
            this.chunk = chunk;
            this.state = state;
        }

        public long state() {
            return (long) WORD.getVolatile(chunk, state);
        }

        public boolean isCurrent(long stateWord) {
            return (int) (stateWord >>> 32) == generation;
        }

        private boolean compareAndSet(long expected, long updated) {
            return WORD.compareAndSet(chunk, state, expected, updated);
        }

        /** Sets {@link #BUSY} if none of these flags is set. */
        private boolean tryTake(long obstacles) {
            long seen = state();
            return isCurrent(seen) && (seen & obstacles) == 0 && compareAndSet(seen, seen | BUSY);
        }

        private void setFlags(long set, long clear) {
            long seen;
            do {
                seen = state();
            } while (!compareAndSet(seen, (seen & ~clear) | set));
        }
    }

    // ---- The lock

    /** Takes the lock. The caller owns no region. */
    public void lock() {
        Backoff.lock(lock);
    }

    /** Takes the lock for an owner of regions, which must stay on its processor. Never fails. */
    public void lockAsOwner() {
        while (!lock.tryLock()) {
            Thread.onSpinWait();
        }
    }

    public void unlock() {
        lock.unlock();
    }

    // ---- Owning a region

    /**
     * Sets {@link #BUSY} without the lock, if the region overlaps no other, is wanted whole or not at all, and no thread has it.
     *
     * @return false if the caller must take {@link #acquire}
     */
    public static boolean tryAcquire(Slot slot) {
        return slot.tryTake(BUSY | OVERLAPPED | PARTIAL | EXCLUDED | DETACHED | UNCOUNTED);
    }

    /**
     * Waits until neither these regions nor any that overlap them are busy, and takes them all at once, so that two threads
     * never wait for each other. Takes none if it throws.
     *
     * @return the first region that is closed, with none taken; or null
     */
    @Nullable
    public Slot acquire(Slot... slots) {
        StackRoom.requireForChange();
        Backoff backoff = null;
        try {
            while (true) {
                lock();
                try {
                    for (Slot slot : slots) {
                        if (!slot.isCurrent(slot.state())) {
                            return slot;
                        }
                    }
                    if (takeAll(slots)) {
                        return null;
                    }
                } finally {
                    unlock();
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

    /** The lock keeps out all others but those who need none: they may win the race for one of the regions. */
    private boolean takeAll(Slot[] slots) {
        for (Slot slot : slots) {
            if (isBusyOrOverlapsBusy(slot)) {
                return false;
            }
        }
        for (int i = 0; i < slots.length; i++) {
            long seen = slots[i].state();
            if ((seen & BUSY) != 0 || !slots[i].compareAndSet(seen, seen | BUSY)) {
                while (--i >= 0) {
                    slots[i].setFlags(0, BUSY);
                }
                return false;
            }
        }
        for (Slot slot : slots) {
            if (is(slot.node, UNCOUNTED)) {
                long length = end(slot.node) - start(slot.node);
                mergeableBytes.addAndGet(is(slot.node, MARKED) ? length : -length);
                slot.setFlags(0, UNCOUNTED);
            }
        }
        return true;
    }

    private boolean isBusyOrOverlapsBusy(Slot slot) {
        long state = slot.state();
        // Without others it is alone but for its pieces, of which there may be thousands, and which are never busy.
        return (state & OVERLAPPED) == 0 ? (state & BUSY) != 0 : firstBusy.in(start(slot.node), end(slot.node)) != NIL;
    }

    /**
     * Clears {@link #BUSY}, and changes other flags in the same step. Of a region taken by {@link #tryAcquire} no other thread changes the flags until
     * then: those that overlap it are not opened.
     */
    public static void release(Slot slot, long set, long clear) {
        slot.setFlags(set, BUSY | clear);
    }

    /** As {@link #release(Slot, long, long)} of each, without another change. */
    public static void release(Slot[] slots) {
        for (Slot slot : slots) {
            slot.setFlags(0, BUSY);
        }
    }

    /** Notes when an owned region became wanted; no lock needed, readers see an old or a new time. */
    public static void setSince(Slot slot, long epochMillis) {
        WORD.setOpaque(slot.chunk, word(slot.node, SINCE), epochMillis);
    }

    // ---- Reserving; all below needs the lock

    /** Makes sure that so many nodes can be added without an allocation, until {@link #unreserve} is called with as many. */
    public void reserve(int nodes) {
        makeRoomFor(nodes);
        header[RESERVED] += nodes;
    }

    public void unreserve(int nodes) {
        header[RESERVED] -= nodes;
    }

    private void makeRoomFor(int nodes) {
        long needed = header[RESERVED] + nodes;
        while ((long) ((Object[]) shared[SLOT_NODES]).length * CHUNK_NODES - header[USED] + header[FREE_COUNT]
                < needed) {
            addChunk();
        }
        index.reserve((int) needed);
    }

    // ---- Opening and closing

    /**
     * Adds a region that wants nothing yet.
     *
     * @param flags {@link #EXCLUDED}, {@link #RECORDED}, {@link #GUARDED}, or none
     * @return its slot; null if a region that overlaps it is busy: try again later
     * @throws IllegalStateException if it overlaps a region that it cannot share pages with; nothing was added then
     */
    @Nullable
    public Slot open(long start, long end, long flags, String owner) {
        if (firstBusy.in(start, end) != NIL) {
            return null;
        }
        boolean excluded = (flags & EXCLUDED) != 0;
        boolean recorded = (flags & RECORDED) != 0;
        forEachOverlapping(start, end, node -> {
            // What is left of a detached region lies where its memory was; other memory may be there now.
            if (!is(node, DETACHED)) {
                if (is(node, EXCLUDED) != excluded) {
                    throw new IllegalStateException(hex(start, end) + " shares pages with an open region that "
                            + (excluded ? "may merge: close that region first" : "must never merge"));
                }
                if (!is(node, PIECE) && is(node, RECORDED) != recorded) {
                    throw new IllegalStateException(hex(start, end)
                            + " shares pages with an open region of "
                            + (recorded
                                    ? "a Ksm that merges: use that"
                                    : "a fallback Ksm, which does not merge: close it first"));
                }
            }
            return true;
        });
        return add(start, end, flags, owner, NONE);
    }

    private static String hex(long start, long end) {
        return Long.toHexString(start) + "-" + Long.toHexString(end);
    }

    /**
     * Adds a region of memory that the kernel has just mapped. Regions that overlap the mapping stand for memory that is gone: they are
     * detached from it.
     *
     * @return its slot; null if such a region is busy: try again later
     */
    @Nullable
    public Slot openNew(long start, long end, long mappedFrom, long mappedTo, long flags, String owner) {
        if (firstBusy.in(mappedFrom, mappedTo) != NIL) {
            return null;
        }
        int[] gone = basesOverlapping(mappedFrom, mappedTo, NIL);
        Slot slot = add(start, end, flags, owner, gone);
        if (slot != null) {
            detach(gone, mappedFrom, mappedTo);
        }
        return slot;
    }

    private @Nullable Slot add(long start, long end, long flags, String owner, int[] toBeDetached) {
        makeRoomFor(1 + nodesToDetach(toBeDetached));
        Slot slot = slotOf(nextNode());
        boolean overlapped = firstOther.in(start, end, NIL) != NIL;
        if (overlapped && !overlappedSetter.setIn(start, end)) {
            // One has been taken without the lock.
            forEachOverlapping(start, end, clearOverlapped);
            return null;
        }
        int node = newNode(start, end, owner);
        setState(node, flags | (overlapped ? OVERLAPPED : 0));
        set(node, PIECES, 0);
        set(node, BASE, node);
        index.add(start, end, node);
        header[OPEN_REGIONS]++;
        return slot;
    }

    /** Removes an owned region with all it wants, and makes its slot stale. */
    public void close(Slot slot) {
        int base = slot.node;
        long start = start(base);
        long end = end(base);
        unwant(base, start, end);
        boolean overlapped = is(base, OVERLAPPED);
        index.remove(start, base);
        free(base);
        header[OPEN_REGIONS]--;
        if (overlapped) {
            forEachOverlapping(start, end, clearOverlapped);
        }
    }

    /** The open regions that overlap a range, but one. */
    public int[] basesOverlapping(long from, long to, int but) {
        if (firstOther.in(from, to, but) == NIL) {
            return NONE;
        }
        int[][] found = {NONE};
        forEachOverlapping(from, to, node -> {
            if (node != but && !is(node, PIECE)) {
                found[0] = Arrays.copyOf(found[0], found[0].length + 1);
                found[0][found[0].length - 1] = node;
            }
            return true;
        });
        return found[0];
    }

    /** How many nodes {@link #detach} adds at most. */
    public static int nodesToDetach(int[] bases) {
        return 2 * bases.length;
    }

    /** Memory of regions is gone: they want nothing there any more, and what they must not merge is only the rest. */
    public void detach(int[] bases, long from, long to) {
        for (int base : bases) {
            detach(base, from, to);
        }
    }

    private void detach(int base, long from, long to) {
        if (is(base, EXCLUDED)) {
            setFlags(base, 0, EXCLUDED);
            if (start(base) < from) {
                insertPiece(base, start(base), from, 0, EXCLUDED);
            }
            if (to < end(base)) {
                insertPiece(base, to, end(base), 0, EXCLUDED);
            }
        } else {
            unwant(base, from, to);
        }
        setFlags(base, DETACHED, 0);
    }

    /** How many regions are open. Takes the lock. */
    public long countOpenRegions() {
        lock();
        try {
            return header[OPEN_REGIONS];
        } finally {
            unlock();
        }
    }

    // ---- What regions want

    /**
     * What one region wants of its pages.
     *
     * @param since when it was marked, in milliseconds since the epoch
     */
    public record Mark(long start, long end, String owner, long since) {}

    /** The marks that overlap a range, in order of address, but at most so many. Takes the lock. */
    public List<Mark> marks(long from, long to, int max) {
        List<Mark> marks = new ArrayList<>();
        lock();
        try {
            forEachOverlapping(from, to, node -> {
                if (isWanted(node)) {
                    marks.add(new Mark(start(node), end(node), owner(node), since(node)));
                }
                return marks.size() < max;
            });
        } finally {
            unlock();
        }
        return marks;
    }

    public boolean isWanted(int node) {
        return is(node, MARKED) || (is(node, PIECE) && !is(node, EXCLUDED));
    }

    /** Whether some region wants the page at an address. Takes the lock. */
    public boolean isWantedAt(long address) {
        boolean[] found = {false};
        lock();
        try {
            forEachOverlapping(address, address + 1, node -> {
                found[0] = isWanted(node);
                return !found[0];
            });
        } finally {
            lock.unlock();
        }
        return found[0];
    }

    /**
     * The parts of the range that no region wants. In order of address.
     *
     * @param ignored says of which regions the wishes do not count
     */
    public void forEachUnwanted(long from, long to, IntPredicate ignored, RangeVisitor visitor) {
        long[] reached = {from};
        forEachOverlapping(from, to, node -> {
            if (isWanted(node) && !ignored.test(base(node))) {
                if (start(node) > reached[0]) {
                    visitor.visit(reached[0], start(node), 0);
                }
                reached[0] = Math.max(reached[0], end(node));
            }
            return true;
        });
        if (reached[0] < to) {
            visitor.visit(reached[0], to, 0);
        }
    }

    /** Whether some region wants a byte of a range. */
    public boolean isAnyWanted(long from, long to) {
        return wantedBytes.in(from, to) > 0;
    }

    /** The parts of the range that one region wants, each with the time since when. In order of address. */
    public void forEachWantedBy(int base, long from, long to, RangeVisitor visitor) {
        if (is(base, MARKED)) {
            visitor.visit(Math.max(from, start(base)), Math.min(to, end(base)), since(base));
        } else if (is(base, PARTIAL)) {
            forEachOverlapping(from, to, node -> {
                if (is(node, PIECE) && base(node) == base && isWanted(node)) {
                    visitor.visit(Math.max(from, start(node)), Math.min(to, end(node)), since(node));
                }
                return true;
            });
        }
    }

    /** A range of addresses and the time since when it is wanted; 0 where it is not. */
    public interface RangeVisitor {
        void visit(long start, long end, long since);
    }

    /** How many nodes {@link #want} and {@link #unwant} of a part add at most; none for a whole region. */
    public static final int NODES_TO_CHANGE_A_PART = 2;

    /** The owned region wants this part of itself from now on. Pieces that touch become one. */
    public void want(Slot slot, long from, long to, long since) {
        long before = wantedBytes.in(from, to);
        addWish(slot, from, to, since);
        mergeableBytes.addAndGet(wantedBytes.in(from, to) - before);
    }

    private void addWish(Slot slot, long from, long to, long since) {
        int base = slot.node;
        if (is(base, MARKED)) {
            return;
        }
        long start = from;
        long end = to;
        long oldest = since;
        for (int piece = firstPiece.in(base, start - 1, end + 1);
                piece != NIL;
                piece = firstPiece.in(base, start - 1, end + 1)) {
            start = Math.min(start, start(piece));
            end = Math.max(end, end(piece));
            oldest = Math.min(oldest, since(piece));
            deletePiece(base, piece);
        }
        if (start == start(base) && end == end(base)) {
            setSince(slot, oldest);
            setFlags(base, MARKED, PARTIAL);
        } else {
            insertPiece(base, start, end, oldest, 0);
        }
    }

    /** The owned region, or one that overlaps an owned region, no longer wants this part of itself. */
    public void unwant(int base, long from, long to) {
        long before = wantedBytes.in(from, to);
        removeWish(base, from, to);
        mergeableBytes.addAndGet(wantedBytes.in(from, to) - before);
    }

    private void removeWish(int base, long from, long to) {
        if (is(base, MARKED)) {
            setFlags(base, 0, MARKED);
            if (start(base) < from) {
                insertPiece(base, start(base), from, since(base), 0);
            }
            if (to < end(base)) {
                insertPiece(base, to, end(base), since(base), 0);
            }
            return;
        }
        removePieces(base, from, to);
    }

    /** A piece that sticks out on both sides becomes two: one node more. */
    private void removePieces(int base, long from, long to) {
        if (!is(base, PARTIAL)) {
            return;
        }
        for (int piece = firstPiece.in(base, from, to); piece != NIL; piece = firstPiece.in(base, from, to)) {
            long start = start(piece);
            long end = end(piece);
            long since = since(piece);
            long excluded = is(piece, EXCLUDED) ? EXCLUDED : 0;
            deletePiece(base, piece);
            if (start < from) {
                insertPiece(base, start, from, since, excluded);
            }
            if (to < end) {
                insertPiece(base, to, end, since, excluded);
            }
        }
    }

    private void insertPiece(int base, long start, long end, long since, long excluded) {
        int piece = newNode(start, end, owner(base));
        setState(piece, PIECE | excluded);
        set(piece, SINCE, since);
        set(piece, BASE, base);
        index.add(start, end, piece);
        set(base, PIECES, get(base, PIECES) + 1);
        setFlags(base, PARTIAL, 0);
    }

    private void deletePiece(int base, int piece) {
        index.remove(start(piece), piece);
        free(piece);
        set(base, PIECES, get(base, PIECES) - 1);
        if (get(base, PIECES) == 0) {
            setFlags(base, 0, PARTIAL);
        }
    }

    // ---- Searches, made once: none may be allocated while the table is being changed

    /** Finds the first node of a kind. */
    private abstract class First implements RangeIndex.NodeVisitor {
        private int found;

        final int first(long from, long to) {
            found = NIL;
            forEachOverlapping(from, to, this);
            return found;
        }

        abstract boolean matches(int node);

        @Override
        public final boolean visit(int node) {
            if (!matches(node)) {
                return true;
            }
            found = node;
            return false;
        }
    }

    private final class FirstBusy extends First {

        int in(long from, long to) {
            return first(from, to);
        }

        @Override
        boolean matches(int node) {
            return is(node, BUSY);
        }
    }

    private final class FirstPiece extends First {
        private int base;

        int in(int base, long from, long to) {
            this.base = base;
            return is(base, PARTIAL) ? first(from, to) : NIL;
        }

        @Override
        boolean matches(int node) {
            return is(node, PIECE) && base(node) == base;
        }
    }

    private final class FirstOther extends First {
        private int base;

        /** The first region that is not this one. */
        int in(long from, long to, int base) {
            this.base = base;
            return first(from, to);
        }

        @Override
        boolean matches(int node) {
            return node != base && !is(node, PIECE);
        }
    }

    /** Counts what some region wants, each byte once. */
    private final class WantedBytes implements RangeIndex.NodeVisitor {
        private long reached;
        private long limit;
        private long bytes;

        long in(long from, long to) {
            reached = from;
            limit = to;
            bytes = 0;
            forEachOverlapping(from, to, this);
            return bytes;
        }

        @Override
        public boolean visit(int node) {
            long end = Math.min(end(node), limit);
            if (isWanted(node) && end > reached) {
                bytes += end - Math.max(start(node), reached);
                reached = end;
            }
            return true;
        }
    }

    private final class OverlappedSetter implements RangeIndex.NodeVisitor {
        private boolean metBusy;

        /** Returns false if a region is busy. */
        boolean setIn(long from, long to) {
            metBusy = false;
            forEachOverlapping(from, to, this);
            return !metBusy;
        }

        @Override
        public boolean visit(int node) {
            if (!is(node, PIECE)) {
                long[] chunk = chunk(node);
                int state = word(node, STATE);
                long seen;
                do {
                    seen = (long) WORD.getVolatile(chunk, state);
                    metBusy = (seen & BUSY) != 0;
                } while (!metBusy && !WORD.compareAndSet(chunk, state, seen, seen | OVERLAPPED));
            }
            return !metBusy;
        }
    }

    private final class OverlappedClearer implements RangeIndex.NodeVisitor {
        @Override
        public boolean visit(int node) {
            if (!is(node, PIECE) && firstOther.in(start(node), end(node), node) == NIL) {
                setFlags(node, 0, OVERLAPPED);
            }
            return true;
        }
    }

    // ---- Reading nodes

    public long start(int node) {
        return get(node, START);
    }

    public long end(int node) {
        return get(node, END);
    }

    public long since(int node) {
        return get(node, SINCE);
    }

    public int base(int node) {
        return (int) get(node, BASE);
    }

    public String owner(int node) {
        return ((String[]) ((Object[]) shared[SLOT_OWNERS])[node >>> CHUNK_SHIFT])[node & (CHUNK_NODES - 1)];
    }

    public boolean is(int node, long flag) {
        return ((long) WORD.getVolatile(chunk(node), word(node, STATE)) & flag) != 0;
    }

    public Slot slotOf(int node) {
        long[] chunk = chunk(node);
        int state = word(node, STATE);
        return new Slot(node, (int) ((long) WORD.getVolatile(chunk, state) >>> 32), chunk, state);
    }

    public void forEachOverlapping(long from, long to, RangeIndex.NodeVisitor visitor) {
        index.forEachOverlapping(from, to, visitor);
    }

    // ---- Nodes in arrays

    private int nextNode() {
        return header[FREE] != NIL ? (int) header[FREE] : (int) header[USED];
    }

    private int newNode(long start, long end, String owner) {
        int node = nextNode();
        if (node == header[FREE]) {
            header[FREE] = get(node, PIECES);
            header[FREE_COUNT]--;
        } else {
            header[USED]++;
        }
        set(node, START, start);
        set(node, END, end);
        set(node, SINCE, 0);
        setOwner(node, owner);
        return node;
    }

    /** Directories grow by a copy; chunks never move, so slots stay good. */
    private void addChunk() {
        Object[] nodes = grown((Object[]) shared[SLOT_NODES], new long[CHUNK_NODES * WORDS]);
        Object[] owners = grown((Object[]) shared[SLOT_OWNERS], new String[CHUNK_NODES]);
        shared[SLOT_OWNERS] = owners;
        shared[SLOT_NODES] = nodes;
    }

    private static Object[] grown(Object[] directory, Object chunk) {
        Object[] grown = Arrays.copyOf(directory, directory.length + 1);
        grown[directory.length] = chunk;
        return grown;
    }

    /** The next generation begins: slots that still point here are stale from now on. */
    private void free(int node) {
        long generation = (get(node, STATE) >>> 32) + 1;
        WORD.setVolatile(chunk(node), word(node, STATE), generation << 32);
        setOwner(node, null);
        set(node, PIECES, header[FREE]);
        header[FREE] = node;
        header[FREE_COUNT]++;
    }

    private void setState(int node, long flags) {
        long generation = get(node, STATE) & ~0xffffffffL;
        WORD.setVolatile(chunk(node), word(node, STATE), generation | flags);
    }

    private void setFlags(int node, long set, long clear) {
        long[] chunk = chunk(node);
        int state = word(node, STATE);
        long seen;
        do {
            seen = (long) WORD.getVolatile(chunk, state);
        } while (!WORD.compareAndSet(chunk, state, seen, (seen & ~clear) | set));
    }

    private void setOwner(int node, @Nullable String owner) {
        ((@Nullable String[]) ((Object[]) shared[SLOT_OWNERS])[node >>> CHUNK_SHIFT])[node & (CHUNK_NODES - 1)] = owner;
    }

    private long[] chunk(int node) {
        return (long[]) ((Object[]) shared[SLOT_NODES])[node >>> CHUNK_SHIFT];
    }

    private static int word(int node, int word) {
        int inChunk = node & (CHUNK_NODES - 1);
        return word == STATE
                ? inChunk % (CHUNK_NODES / LINE) * LINE + inChunk / (CHUNK_NODES / LINE)
                : CHUNK_NODES + inChunk * (WORDS - 1) + word - 1;
    }

    private long get(int node, int word) {
        return chunk(node)[word(node, word)];
    }

    private void set(int node, int word, long value) {
        chunk(node)[word(node, word)] = value;
    }
}
