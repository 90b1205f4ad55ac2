// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.registry;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The nodes of a {@link RegionTable}: six words each, stored in chunks of {@value #CHUNK_NODES}. A <em>base</em> is an
 * open region. A <em>piece</em> is a part of a region that is wanted while other parts are not.
 *
 * <pre>
 * chunk     | state | state | ... 1024 states | start end since base pieces | start end since base pieces | ...
 *             one line (8 words) holds the       five words a node, node by node
 *             states of nodes 0, 128, 256, ...
 * </pre>
 *
 * <p>The states are stored together because look-ups read them at random: the denser they are, the more of them fit
 * into the processor caches. The states of successive nodes are on different cache lines, because their regions are
 * likely to be marked by different threads at the same time.
 *
 * <p>Chunks never move, so a {@link Slot} stays valid while its region is open. Free nodes form a linked list.
 * Everything consists of JDK types, because copies of ksm4j share it; {@link RegionTable#LAYOUT} identifies the layout.
 * The caller holds the lock of the table.
 */
final class Nodes {

    /** No node. */
    static final int NIL = 0;

    private static final int CHUNK_SHIFT = 10;
    private static final int CHUNK_NODES = 1 << CHUNK_SHIFT;

    // Words of a node. Part of the layout that copies of ksm4j share.
    private static final int STATE = 0;
    private static final int START = 1;
    private static final int END = 2;
    /** When the node became wanted, in milliseconds since the epoch. */
    private static final int SINCE = 3;
    /** For a piece, its base; for a base, the base itself. */
    private static final int BASE = 4;
    /** For a base, the number of its pieces; for a free node, the next free node. */
    private static final int PIECES = 5;

    /** The number of words of a node. Part of the layout: a change needs a new {@link RegionTable#LAYOUT}. */
    private static final int WORDS = 6;

    /** The number of states on a cache line. */
    private static final int LINE = 8;

    // Words of the header. Part of the layout that copies of ksm4j share.
    /** The number of nodes that have ever been used, which is the index of the next new one. */
    private static final int USED = 0;
    /** The first free node. */
    private static final int FREE = 1;
    /** The number of free nodes. */
    private static final int FREE_COUNT = 2;
    /** The number of nodes that {@link #reserve} has reserved. */
    private static final int RESERVED = 3;

    private static final int OPEN_REGIONS = 4;
    private static final int HEADER_WORDS = 5;

    private final Object[] shared;
    private final long[] header;

    Nodes(Object[] shared) {
        this.shared = shared;
        this.header = (long[]) shared[RegionTable.SLOT_HEADER];
    }

    /** Adds an empty store to the shared array of a new table. */
    static void create(Object[] shared) {
        shared[RegionTable.SLOT_NODES] = new Object[] {new long[CHUNK_NODES * WORDS]};
        shared[RegionTable.SLOT_OWNERS] = new Object[] {new String[CHUNK_NODES]};
        long[] header = new long[HEADER_WORDS];
        header[USED] = NIL + 1;
        header[FREE] = NIL;
        shared[RegionTable.SLOT_HEADER] = header;
    }

    // ---- Reading

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
        return ((String[]) ((Object[]) shared[RegionTable.SLOT_OWNERS])[node >>> CHUNK_SHIFT])
                [node & (CHUNK_NODES - 1)];
    }

    boolean is(int node, long flag) {
        return (state(node) & flag) != 0;
    }

    private long state(int node) {
        return (long) Slot.WORD.getVolatile(chunk(node), word(node, STATE));
    }

    /** {@return whether a node stands for memory that a region wants mergeable} */
    boolean isWanted(int node) {
        long state = state(node);
        return (state & Slot.MARKED) != 0 || (state & (Slot.PIECE | Slot.EXCLUDED)) == Slot.PIECE;
    }

    Slot slot(int node) {
        long[] chunk = chunk(node);
        int state = word(node, STATE);
        return new Slot(node, (int) ((long) Slot.WORD.getVolatile(chunk, state) >>> 32), chunk, state);
    }

    long openRegions() {
        return header[OPEN_REGIONS];
    }

    // ---- Changing

    /**
     * Ensures that this number of nodes can be added without an allocation, until {@link #unreserve} is called with the
     * same number.
     */
    void reserve(RangeIndex index, int nodes) {
        makeRoom(index, nodes);
        header[RESERVED] += nodes;
    }

    void unreserve(int nodes) {
        header[RESERVED] -= nodes;
    }

    /** Ensures that this number of nodes can be added now, in addition to those that are reserved. */
    void makeRoom(RangeIndex index, int nodes) {
        long needed = header[RESERVED] + nodes;
        while ((long) ((Object[]) shared[RegionTable.SLOT_NODES]).length * CHUNK_NODES
                        - header[USED]
                        + header[FREE_COUNT]
                < needed) {
            addChunk();
        }
        index.reserve((int) needed);
    }

    private void addChunk() {
        Object[] nodes = grown((Object[]) shared[RegionTable.SLOT_NODES], new long[CHUNK_NODES * WORDS]);
        Object[] owners = grown((Object[]) shared[RegionTable.SLOT_OWNERS], new String[CHUNK_NODES]);
        shared[RegionTable.SLOT_OWNERS] = owners;
        shared[RegionTable.SLOT_NODES] = nodes;
    }

    private static Object[] grown(Object[] directory, Object chunk) {
        Object[] grown = Arrays.copyOf(directory, directory.length + 1);
        grown[directory.length] = chunk;
        return grown;
    }

    /** Returns the index of the node that is added next. */
    int next() {
        return header[FREE] != NIL ? (int) header[FREE] : (int) header[USED];
    }

    /** Adds a region. Allocates nothing if there is room. */
    int addBase(long start, long end, String owner, long flags) {
        int node = add(start, end, owner);
        setState(node, flags);
        set(node, PIECES, 0);
        set(node, BASE, node);
        header[OPEN_REGIONS]++;
        return node;
    }

    /** Adds a piece of a region. Allocates nothing if there is room. */
    int addPiece(int base, long start, long end, long since, long flags) {
        int node = add(start, end, owner(base));
        setState(node, Slot.PIECE | flags);
        set(node, SINCE, since);
        set(node, BASE, base);
        set(base, PIECES, get(base, PIECES) + 1);
        return node;
    }

    private int add(long start, long end, String owner) {
        int node = next();
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

    void removeBase(int base) {
        free(base);
        header[OPEN_REGIONS]--;
    }

    /** Returns how many pieces the base has left. */
    long removePiece(int base, int piece) {
        free(piece);
        set(base, PIECES, get(base, PIECES) - 1);
        return get(base, PIECES);
    }

    /** Starts the next generation of the node: slots that refer to it become stale. */
    private void free(int node) {
        long generation = (get(node, STATE) >>> 32) + 1;
        Slot.WORD.setVolatile(chunk(node), word(node, STATE), generation << 32);
        setOwner(node, null);
        set(node, PIECES, header[FREE]);
        header[FREE] = node;
        header[FREE_COUNT]++;
    }

    void setFlags(int node, long set, long clear) {
        Slot.setFlags(chunk(node), word(node, STATE), set, clear);
    }

    /** Sets {@link Slot#OVERLAPPED} unless the region is busy. */
    boolean trySetOverlapped(int base) {
        long[] chunk = chunk(base);
        int state = word(base, STATE);
        long seen;
        do {
            seen = (long) Slot.WORD.getVolatile(chunk, state);
            if ((seen & Slot.BUSY) != 0) {
                return false;
            }
        } while (!Slot.WORD.compareAndSet(chunk, state, seen, seen | Slot.OVERLAPPED));
        return true;
    }

    void setSince(int node, long epochMillis) {
        Slot.WORD.setOpaque(chunk(node), sinceWord(node), epochMillis);
    }

    /** Returns the index of the word that contains when a node became wanted. */
    static int sinceWord(int node) {
        return CHUNK_NODES + (node & (CHUNK_NODES - 1)) * (WORDS - 1) + SINCE - 1;
    }

    private void setState(int node, long flags) {
        long generation = get(node, STATE) & ~0xffffffffL;
        Slot.WORD.setVolatile(chunk(node), word(node, STATE), generation | flags);
    }

    private void setOwner(int node, @Nullable String owner) {
        ((@Nullable String[]) ((Object[]) shared[RegionTable.SLOT_OWNERS])[node >>> CHUNK_SHIFT])
                [node & (CHUNK_NODES - 1)] = owner;
    }

    private long[] chunk(int node) {
        return (long[]) ((Object[]) shared[RegionTable.SLOT_NODES])[node >>> CHUNK_SHIFT];
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
