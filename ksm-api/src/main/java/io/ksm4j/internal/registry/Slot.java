// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.registry;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * The location of an open region in a {@link RegionTable}, and the protocol by which threads own the region.
 *
 * <p>A region has a state word:
 *
 * <pre>
 *  63                      32 31   11 10   9   8   7   6   5   4   3   2   1   0
 * +--------------------------+-------+---+---+---+---+---+---+---+---+---+---+---+
 * |        generation        |   0   | Y | U | G | R | D | P | E | p | O | M | B |
 * +--------------------------+-------+---+---+---+---+---+---+---+---+---+---+---+
 *                                      |   |   |   |   |   |   |   |   |   |   BUSY
 *                                      |   |   |   |   |   |   |   |   |   MARKED
 *                                      |   |   |   |   |   |   |   |   OVERLAPPED
 *                                      |   |   |   |   |   |   |   PARTIAL
 *                                      |   |   |   |   |   |   EXCLUDED
 *                                      |   |   |   |   |   PIECE
 *                                      |   |   |   |   DETACHED
 *                                      |   |   |   RECORDED
 *                                      |   |   GUARDED
 *                                      |   UNCOUNTED
 *                                      YIELDING
 * </pre>
 *
 * <p>The word changes by compare-and-set. The thread that sets {@link #BUSY} owns the region and its pages until it
 * clears the bit. No region becomes busy while one that overlaps it is busy, and no region is opened over a busy one. A
 * region that overlaps no other and has no pieces can be owned without a lock, by {@link #tryAcquire()}; all others by
 * {@link RegionTable#acquire}.
 *
 * <p>The generation increases when the region is closed, because its node is reused: a stale slot never reaches another
 * region.
 */
public final class Slot {

    /** A thread owns the region: it changes what the region wants, or closes it. */
    public static final long BUSY = 1;
    /** The whole region is wanted mergeable. */
    public static final long MARKED = 1 << 1;
    /** Another open region shares pages with this one. */
    public static final long OVERLAPPED = 1 << 2;
    /** Parts of the region are wanted mergeable, but not all of it: it has pieces. */
    public static final long PARTIAL = 1 << 3;
    /** The region must never merge. */
    public static final long EXCLUDED = 1 << 4;
    /** The node is a piece of a region. */
    static final long PIECE = 1 << 5;
    /** Some memory of the region was unmapped, because the region that had allocated it was closed. */
    public static final long DETACHED = 1 << 6;
    /** The region belongs to a fallback: its marks are recorded, but the kernel is not called. */
    public static final long RECORDED = 1 << 7;
    /** The owner of the memory can tell whether it still exists. */
    public static final long GUARDED = 1 << 8;
    /**
     * {@link #MARKED} has changed, but the table's number of mergeable bytes has not, because there was not enough
     * stack to update it.
     */
    public static final long UNCOUNTED = 1 << 9;
    /** The region was opened without being asked for: an excluded region may be opened over it. */
    public static final long YIELDING = 1 << 10;

    static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

    /** The node of the region while it is open. */
    public final int node;

    private final int generation;

    /**
     * The array that contains the state word. Public for an owner that must clear {@link #BUSY} where there is not
     * enough stack for a call.
     */
    public final long[] words;

    /** The index of the state word. */
    public final int state;

    Slot(int node, int generation, long[] words, int state) {
        this.node = node;
        this.generation = generation;
        this.words = words;
        this.state = state;
    }

    /** Returns the current state word. */
    public long state() {
        return (long) WORD.getVolatile(words, state);
    }

    /** {@return whether at least one of these flags is set} */
    public boolean is(long flags) {
        return (state() & flags) != 0;
    }

    /** {@return whether the region is open} */
    public boolean isOpen() {
        return isOpen(state());
    }

    /** {@return whether a state word is that of the region while it is open} */
    public boolean isOpen(long stateWord) {
        return (int) (stateWord >>> 32) == generation;
    }

    /**
     * Owns the region, if that needs no lock: it overlaps no other, is wanted either whole or not at all, and no thread
     * owns it.
     *
     * @return false if the caller must use {@link RegionTable#acquire}
     */
    public boolean tryAcquire() {
        long seen = state();
        return isOpen(seen)
                && (seen & (BUSY | OVERLAPPED | PARTIAL | EXCLUDED | DETACHED | UNCOUNTED)) == 0
                && compareAndSet(seen, seen | BUSY);
    }

    /**
     * Clears {@link #BUSY} and changes other flags in the same step. While a region is owned through
     * {@link #tryAcquire()}, no other thread changes its flags, because no region that overlaps it can be opened.
     */
    public void release(long set, long clear) {
        setFlags(set, BUSY | clear);
    }

    /** Releases owned regions and changes nothing else. */
    public static void release(Slot[] slots) {
        for (Slot slot : slots) {
            slot.setFlags(0, BUSY);
        }
    }

    /** Sets when an owned region became wanted. Needs no lock: readers see either the old or the new time. */
    public void setSince(long epochMillis) {
        WORD.setOpaque(words, Nodes.sinceWord(node), epochMillis);
    }

    boolean compareAndSet(long expected, long updated) {
        return WORD.compareAndSet(words, state, expected, updated);
    }

    void setFlags(long set, long clear) {
        setFlags(words, state, set, clear);
    }

    static void setFlags(long[] words, int state, long set, long clear) {
        long seen;
        do {
            seen = (long) WORD.getVolatile(words, state);
        } while (!WORD.compareAndSet(words, state, seen, (seen & ~clear) | set));
    }
}
