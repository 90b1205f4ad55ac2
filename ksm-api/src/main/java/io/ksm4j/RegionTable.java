package io.ksm4j;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
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
 * <p>Locking: {@link #lock} guards the nodes and the index. It is never held during a system call. A base's state word changes by
 * compare-and-set, and whoever sets its {@link #BUSY} bit owns the region and its pages until the bit is cleared; nobody sets
 * it while a region that overlaps is busy. A region that overlaps no other and has no pieces is taken without the lock.
 */
final class RegionTable {

    /** Somebody is changing what this region wants, or closing it. */
    static final long BUSY = 1;
    /** The whole region is wanted mergeable. */
    static final long MARKED = 1 << 1;
    /** Another open region shares pages with this one. */
    static final long OVERLAPPED = 1 << 2;
    /** Parts of the region are wanted mergeable: there are pieces. */
    static final long PARTIAL = 1 << 3;
    /** A thread waits for {@link #BUSY} to be cleared. */
    static final long AWAITED = 1 << 4;
    /** The region must never merge. */
    static final long EXCLUDED = 1 << 5;
    /** The node is a piece, not a base. */
    static final long PIECE = 1 << 6;
    /** Memory of the region was unmapped by the region that owned it. */
    static final long DETACHED = 1 << 7;
    /** What the region wants is recorded and told to nobody: it is a fallback region. */
    static final long RECORDED = 1 << 8;
    /** Somebody can tell whether the region's memory still exists. */
    static final long GUARDED = 1 << 9;

    /** Bumped whenever the layout changes: copies of ksm4j with different layouts cannot share a table. */
    static final int LAYOUT = 2;

    private static final int NIL = 0;
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
    private static final int SLOT_RELEASED = 1;
    private static final int SLOT_NODES = 2;
    private static final int SLOT_OWNERS = 3;
    private static final int SLOT_HEADER = 4;
    private static final int SLOT_MERGEABLE_BYTES = 5;
    private static final int SLOT_LEAKS = 6;
    private static final int SLOT_INDEX = 7;
    private static final int SLOTS = 8;

    // Words of the header.
    private static final int USED = 0;
    private static final int FREE = 1;
    private static final int OPEN_REGIONS = 2;

    private final Object[] shared;
    final ReentrantLock lock;
    private final Condition released;
    private final long[] header;
    final LongAdder mergeableBytes;
    final AtomicLong leaks;
    private final RangeIndex index;

    RegionTable(Object[] shared) {
        this.shared = shared;
        this.lock = (ReentrantLock) shared[SLOT_LOCK];
        this.released = (Condition) shared[SLOT_RELEASED];
        this.header = (long[]) shared[SLOT_HEADER];
        this.mergeableBytes = (LongAdder) shared[SLOT_MERGEABLE_BYTES];
        this.leaks = (AtomicLong) shared[SLOT_LEAKS];
        this.index = new RangeIndex(shared, SLOT_INDEX);
    }

    /** A new table, in JDK types only. */
    static Object[] newShared() {
        Object[] shared = new Object[SLOTS];
        ReentrantLock lock = new ReentrantLock();
        shared[SLOT_LOCK] = lock;
        shared[SLOT_RELEASED] = lock.newCondition();
        shared[SLOT_NODES] = new Object[] {new long[CHUNK_NODES * WORDS]};
        shared[SLOT_OWNERS] = new Object[] {new String[CHUNK_NODES]};
        shared[SLOT_HEADER] = new long[] {1, NIL, 0};
        shared[SLOT_MERGEABLE_BYTES] = new LongAdder();
        shared[SLOT_LEAKS] = new AtomicLong();
        shared[SLOT_INDEX] = RangeIndex.newTop();
        return shared;
    }

    Object[] shared() {
        return shared;
    }

    /** Where one base's state word is, with the generation that proves the node is still that region's. */
    static final class Slot {
        final int node;
        final int generation;
        private final long[] chunk;
        private final int state;

        private Slot(int node, int generation, long[] chunk, int state) {
            this.node = node;
            this.generation = generation;
            this.chunk = chunk;
            this.state = state;
        }

        long state() {
            return (long) WORD.getVolatile(chunk, state);
        }

        boolean isCurrent(long stateWord) {
            return (int) (stateWord >>> 32) == generation;
        }

        private boolean compareAndSet(long expected, long updated) {
            return WORD.compareAndSet(chunk, state, expected, updated);
        }

        private void setFlags(long set, long clear) {
            long seen;
            do {
                seen = state();
            } while (!compareAndSet(seen, (seen & ~clear) | set));
        }
    }

    /** Visits nodes in order of start address; answers whether to go on. */
    interface NodeVisitor {
        boolean visit(int node);
    }

    // ---- Owning a region

    /**
     * Sets {@link #BUSY} without the lock, if the region overlaps no other, is wanted whole or not at all, and nobody has it.
     *
     * @return false if the caller must take {@link #acquire}
     */
    static boolean tryAcquire(Slot slot) {
        long seen = slot.state();
        return slot.isCurrent(seen)
                && (seen & (BUSY | OVERLAPPED | PARTIAL | EXCLUDED | DETACHED)) == 0
                && slot.compareAndSet(seen, seen | BUSY);
    }

    /**
     * Waits until neither these regions nor any that overlap them are busy, and takes them all at once, so that two threads
     * never wait for each other.
     *
     * @return the first region that is closed, with none taken; or null
     */
    @Nullable
    Slot acquire(Slot[] slots) {
        lock.lock();
        try {
            while (true) {
                Slot busy = null;
                for (Slot slot : slots) {
                    if (!slot.isCurrent(slot.state())) {
                        return slot;
                    }
                    busy = busyNeighbour(slot);
                    if (busy != null) {
                        break;
                    }
                }
                if (busy == null && takeAll(slots)) {
                    return null;
                }
                if (busy != null && requestWakeUp(busy)) {
                    released.awaitUninterruptibly();
                }
            }
        } finally {
            lock.unlock();
        }
    }

    private @Nullable Slot busyNeighbour(Slot slot) {
        long state = slot.state();
        if ((state & OVERLAPPED) == 0) {
            // It is alone but for its pieces, of which there may be thousands, and which are never busy.
            return (state & BUSY) == 0 ? null : slot;
        }
        Slot[] busy = {null};
        forEachOverlapping(start(slot.node), end(slot.node), node -> {
            if (!is(node, PIECE) && is(node, BUSY)) {
                busy[0] = slotOf(node);
                return false;
            }
            return true;
        });
        return busy[0];
    }

    /** The lock keeps everybody out but those who need none: they may win the race for one of the regions. */
    private static boolean takeAll(Slot[] slots) {
        for (int i = 0; i < slots.length; i++) {
            long seen = slots[i].state();
            if ((seen & BUSY) != 0 || !slots[i].compareAndSet(seen, seen | BUSY)) {
                while (--i >= 0) {
                    slots[i].setFlags(0, BUSY);
                }
                return false;
            }
        }
        return true;
    }

    private static boolean requestWakeUp(Slot busy) {
        long seen;
        do {
            seen = busy.state();
            if ((seen & BUSY) == 0) {
                return false;
            }
        } while (!busy.compareAndSet(seen, seen | AWAITED));
        return true;
    }

    /** Clears {@link #BUSY}, changes {@link #MARKED} in the same step if asked to, and wakes who waits. */
    void release(Slot slot, long set, long clear) {
        long seen;
        do {
            seen = slot.state();
        } while (!slot.compareAndSet(seen, (seen & ~(BUSY | AWAITED | clear)) | set));
        if ((seen & AWAITED) != 0) {
            wakeWaiters();
        }
    }

    private void wakeWaiters() {
        lock.lock();
        try {
            released.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Notes when an owned region became wanted; no lock needed, readers see an old or a new time. */
    static void setSince(Slot slot, long epochMillis) {
        WORD.setOpaque(slot.chunk, word(slot.node, SINCE), epochMillis);
    }

    // ---- Opening and closing; all below needs the lock

    /**
     * Adds a region that wants nothing yet.
     *
     * @param flags {@link #EXCLUDED}, {@link #RECORDED}, {@link #GUARDED}, or none
     * @return its slot
     * @throws IllegalStateException if it overlaps a region that it cannot share pages with; nothing was added then
     */
    Slot open(long start, long end, long flags, String owner) {
        boolean excluded = (flags & EXCLUDED) != 0;
        boolean recorded = (flags & RECORDED) != 0;
        forEachOverlapping(start, end, node -> {
            // What is left of a detached region lies where its memory was; other memory may be there now.
            if (!is(node, DETACHED)) {
                if (is(node, EXCLUDED) != excluded) {
                    throw new IllegalStateException(
                            AddressRange.between(start, end) + " shares pages with an open region that "
                                    + (excluded ? "may merge: close that region first" : "must never merge"));
                }
                if (!is(node, PIECE) && is(node, RECORDED) != recorded) {
                    throw new IllegalStateException(AddressRange.between(start, end)
                            + " shares pages with an open region of "
                            + (recorded
                                    ? "a Ksm that merges: use that"
                                    : "a fallback Ksm, which does not merge: close it first"));
                }
            }
            return true;
        });
        return openNew(start, end, flags, owner);
    }

    /**
     * Adds a region of memory that the kernel has just mapped. Who overlaps it stands for memory that is gone and has no say.
     *
     * @return its slot
     */
    Slot openNew(long start, long end, long flags, String owner) {
        boolean[] overlapped = {false};
        forEachOverlapping(start, end, node -> {
            overlapped[0] = true;
            if (!is(node, PIECE)) {
                slotOf(node).setFlags(OVERLAPPED, 0);
            }
            return true;
        });
        int node = newNode(start, end, owner);
        setState(node, flags | (overlapped[0] ? OVERLAPPED : 0));
        set(node, PIECES, 0);
        set(node, BASE, node);
        index.add(start, end, node);
        header[OPEN_REGIONS]++;
        return slotOf(node);
    }

    /** Removes an owned region with all it wants, and makes its slot stale. Wakes who waits for it. */
    void close(Slot slot) {
        int base = slot.node;
        long start = start(base);
        long end = end(base);
        removePieces(base, start, end);
        boolean overlapped = is(base, OVERLAPPED);
        index.remove(start, base);
        free(base);
        header[OPEN_REGIONS]--;
        if (overlapped) {
            forEachOverlapping(start, end, node -> {
                if (!is(node, PIECE) && !overlapsAnotherBase(node)) {
                    slotOf(node).setFlags(0, OVERLAPPED);
                }
                return true;
            });
        }
        released.signalAll();
    }

    private boolean overlapsAnotherBase(int base) {
        boolean[] found = {false};
        forEachOverlapping(start(base), end(base), node -> {
            found[0] = node != base && !is(node, PIECE);
            return !found[0];
        });
        return found[0];
    }

    long openRegions() {
        return header[OPEN_REGIONS];
    }

    // ---- What regions want

    boolean isWanted(int node) {
        return is(node, MARKED) || (is(node, PIECE) && !is(node, EXCLUDED));
    }

    /** Whether some region wants the page at an address. Takes the lock. */
    boolean isWantedAt(long address) {
        boolean[] found = {false};
        lock.lock();
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

    /** The parts of the range that no region wants, or none but those of {@code ignoredBase}. In order of address. */
    void forEachUnwanted(long from, long to, int ignoredBase, RangeVisitor visitor) {
        long[] reached = {from};
        forEachOverlapping(from, to, node -> {
            if (isWanted(node) && base(node) != ignoredBase) {
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

    /** The parts of the range that one region wants, each with the time since when. In order of address. */
    void forEachWantedBy(int base, long from, long to, RangeVisitor visitor) {
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
    interface RangeVisitor {
        void visit(long start, long end, long since);
    }

    /** The owned region wants this part of itself from now on. Pieces that touch become one. */
    void want(Slot slot, long from, long to, long since) {
        int base = slot.node;
        if (is(base, MARKED)) {
            return;
        }
        long[] joined = {from, to, since};
        if (is(base, PARTIAL)) {
            int[] touching = piecesOverlapping(base, from - 1, to + 1);
            for (int piece : touching) {
                joined[0] = Math.min(joined[0], start(piece));
                joined[1] = Math.max(joined[1], end(piece));
                joined[2] = Math.min(joined[2], since(piece));
                deletePiece(base, piece);
            }
        }
        if (joined[0] == start(base) && joined[1] == end(base)) {
            setSince(slot, joined[2]);
            slot.setFlags(MARKED, PARTIAL);
        } else {
            insertPiece(base, joined[0], joined[1], joined[2], 0);
        }
    }

    /** The owned region, or one that overlaps an owned region, no longer wants this part of itself. */
    void unwant(int base, long from, long to) {
        if (is(base, MARKED)) {
            slotOf(base).setFlags(0, MARKED);
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

    /** A region wants nothing any more. What nobody else wants either is no longer counted, and shown to the visitor. */
    void forget(int base, RangeVisitor unwanted) {
        List<long[]> wanted = new ArrayList<>();
        forEachWantedBy(base, start(base), end(base), (from, to, since) -> wanted.add(new long[] {from, to}));
        unwant(base, start(base), end(base));
        for (long[] range : wanted) {
            forEachUnwanted(range[0], range[1], 0, (from, to, since) -> {
                mergeableBytes.add(from - to);
                unwanted.visit(from, to, since);
            });
        }
    }

    private void removePieces(int base, long from, long to) {
        if (!is(base, PARTIAL)) {
            return;
        }
        for (int piece : piecesOverlapping(base, from, to)) {
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

    private int[] piecesOverlapping(int base, long from, long to) {
        int[][] found = {new int[4]};
        int[] count = {0};
        forEachOverlapping(from, to, node -> {
            if (is(node, PIECE) && base(node) == base) {
                if (count[0] == found[0].length) {
                    found[0] = Arrays.copyOf(found[0], count[0] * 2);
                }
                found[0][count[0]++] = node;
            }
            return true;
        });
        return Arrays.copyOf(found[0], count[0]);
    }

    private void insertPiece(int base, long start, long end, long since, long excluded) {
        int piece = newNode(start, end, owner(base));
        setState(piece, PIECE | excluded);
        set(piece, SINCE, since);
        set(piece, BASE, base);
        index.add(start, end, piece);
        set(base, PIECES, get(base, PIECES) + 1);
        slotOf(base).setFlags(PARTIAL, 0);
    }

    private void deletePiece(int base, int piece) {
        index.remove(start(piece), piece);
        free(piece);
        set(base, PIECES, get(base, PIECES) - 1);
        if (get(base, PIECES) == 0) {
            slotOf(base).setFlags(0, PARTIAL);
        }
    }

    /** Memory of a region is gone: it wants nothing there any more, and what it must not merge is only the rest. */
    void detach(int base, long from, long to) {
        if (is(base, EXCLUDED)) {
            slotOf(base).setFlags(0, EXCLUDED);
            if (start(base) < from) {
                insertPiece(base, start(base), from, 0, EXCLUDED);
            }
            if (to < end(base)) {
                insertPiece(base, to, end(base), 0, EXCLUDED);
            }
        } else {
            unwant(base, from, to);
        }
        slotOf(base).setFlags(DETACHED, 0);
    }

    // ---- Reading nodes

    long start(int node) {
        return get(node, START);
    }

    long end(int node) {
        return get(node, END);
    }

    long since(int node) {
        return get(node, SINCE);
    }

    int base(int node) {
        return (int) get(node, BASE);
    }

    String owner(int node) {
        return ((String[]) ((Object[]) shared[SLOT_OWNERS])[node >>> CHUNK_SHIFT])[node & (CHUNK_NODES - 1)];
    }

    boolean is(int node, long flag) {
        return ((long) WORD.getVolatile(chunk(node), word(node, STATE)) & flag) != 0;
    }

    Slot slotOf(int node) {
        long[] chunk = chunk(node);
        int state = word(node, STATE);
        return new Slot(node, (int) ((long) WORD.getVolatile(chunk, state) >>> 32), chunk, state);
    }

    void forEachOverlapping(long from, long to, NodeVisitor visitor) {
        index.forEachOverlapping(from, to, visitor);
    }

    // ---- Nodes in arrays

    private int newNode(long start, long end, String owner) {
        int node = (int) header[FREE];
        if (node != NIL) {
            header[FREE] = get(node, PIECES);
        } else {
            node = Math.toIntExact(header[USED]++);
            if (node >>> CHUNK_SHIFT == ((Object[]) shared[SLOT_NODES]).length) {
                addChunk(SLOT_NODES, new long[CHUNK_NODES * WORDS]);
                addChunk(SLOT_OWNERS, new String[CHUNK_NODES]);
            }
        }
        set(node, START, start);
        set(node, END, end);
        set(node, SINCE, 0);
        setOwner(node, owner);
        return node;
    }

    /** Directories grow by a copy; chunks never move, so slots stay good. */
    private void addChunk(int slot, Object chunk) {
        Object[] old = (Object[]) shared[slot];
        Object[] grown = Arrays.copyOf(old, old.length + 1);
        grown[old.length] = chunk;
        shared[slot] = grown;
    }

    /** The next generation begins: slots that still point here are stale from now on. */
    private void free(int node) {
        long generation = (get(node, STATE) >>> 32) + 1;
        WORD.setVolatile(chunk(node), word(node, STATE), generation << 32);
        setOwner(node, null);
        set(node, PIECES, header[FREE]);
        header[FREE] = node;
    }

    private void setState(int node, long flags) {
        long generation = get(node, STATE) & ~0xffffffffL;
        WORD.setVolatile(chunk(node), word(node, STATE), generation | flags);
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
