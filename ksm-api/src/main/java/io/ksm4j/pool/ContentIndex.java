// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.internal.Backoff;
import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Finds the piece of a pool with the same bytes as a given one. The hash of a piece determines its stripe, and within
 * the stripe its place in a hash table with linear probing (Knuth, The Art of Computer Programming, volume 3, section
 * 6.4, algorithm L; deletion is algorithm R). A slot of a table is one word:
 *
 * <pre>
 *   63              32 31               0
 *   +-----------------+-----------------+
 *   |  hash           |  piece + 1      |     0: the slot is empty
 *   +-----------------+-----------------+
 *    |      |
 *    |      the low bits: home slot
 *    the high bits: stripe
 * </pre>
 *
 * <p>A stripe's lock is held for a lookup, for the comparison of one piece, for changing a count, and for a larger
 * table. Values are copied without it.
 */
final class ContentIndex {

    private static final int STRIPE_BITS = 6;
    private static final int MIN_SLOTS = 16;
    private static final int MAX_SLOTS = 1 << (Integer.SIZE - STRIPE_BITS);

    private static final class Stripe {

        private final ReentrantLock lock = new ReentrantLock();

        private long[] slots = new long[MIN_SLOTS];
        private int filled;

        private void insert(int hash, int piece) {
            int mask = slots.length - 1;
            int slot = hash & mask;
            while (slots[slot] != 0) {
                slot = (slot + 1) & mask;
            }
            slots[slot] = (long) hash << 32 | ((piece + 1) & 0xffff_ffffL);
            filled++;
        }

        /** Algorithm R: closes the gap, so that no search ends before its slot. */
        private void remove(int hash, int piece) {
            int mask = slots.length - 1;
            int gap = hash & mask;
            long entry = (long) hash << 32 | ((piece + 1) & 0xffff_ffffL);
            while (slots[gap] != entry) {
                gap = (gap + 1) & mask;
            }
            int slot = gap;
            while (true) {
                slot = (slot + 1) & mask;
                if (slots[slot] == 0) {
                    break;
                }
                int home = (int) (slots[slot] >>> 32) & mask;
                if (((slot - home) & mask) >= ((slot - gap) & mask)) {
                    slots[gap] = slots[slot];
                    gap = slot;
                }
            }
            slots[gap] = 0;
            filled--;
        }

        /** Makes room for one more piece; returns false if there is no heap memory for that. */
        private boolean tryMakeRoom() {
            if (filled < slots.length / 4 * 3) {
                return true;
            }
            if (slots.length == MAX_SLOTS) {
                return filled < slots.length - 1;
            }
            long[] old = slots;
            try {
                slots = new long[2 * old.length];
            } catch (OutOfMemoryError e) {
                return filled < old.length - 1;
            }
            filled = 0;
            for (long entry : old) {
                if (entry != 0) {
                    insert((int) (entry >>> 32), (int) entry - 1);
                }
            }
            return true;
        }
    }

    private final Pieces pieces;
    private final ContentHash hash;
    private final Stripe[] stripes = new Stripe[1 << STRIPE_BITS];

    ContentIndex(Pieces pieces, ContentHash hash) {
        this.pieces = pieces;
        this.hash = hash;
        Arrays.setAll(stripes, i -> new Stripe());
    }

    private Stripe stripe(int hash) {
        return stripes[hash >>> (Integer.SIZE - STRIPE_BITS)];
    }

    /** Returns the hash of a piece at the start of an array, as the methods below take it. */
    int hash(byte[] content, int length) {
        return (int) (hash.of(content, length) >>> 32);
    }

    /**
     * Looks up a piece, and counts a reference to it.
     *
     * @param hash its hash
     * @param content its bytes, zeros up to the end of its memory, and room for another page
     * @param length the number of its bytes
     * @return the piece, or {@link Pieces#NONE}
     */
    int find(int hash, byte[] content, int length) {
        Stripe stripe = stripe(hash);
        Backoff.spin(stripe.lock);
        try {
            return findLocked(stripe, hash, content, length);
        } finally {
            stripe.lock.unlock();
        }
    }

    private int findLocked(Stripe stripe, int hash, byte[] content, int length) {
        long[] slots = stripe.slots;
        int mask = slots.length - 1;
        for (int slot = hash & mask; slots[slot] != 0; slot = (slot + 1) & mask) {
            int piece = (int) slots[slot] - 1;
            if ((int) (slots[slot] >>> 32) == hash && pieces.hasContent(piece, content, length)) {
                pieces.setReferences(piece, pieces.references(piece) + 1);
                return piece;
            }
        }
        return Pieces.NONE;
    }

    /**
     * Adds a piece with one reference, unless the index has an equal one by now, to which a reference is counted then.
     *
     * @param piece a piece that contains these bytes
     * @param hash its hash
     * @param content the same bytes, zeros up to the end of its memory, and room for another page
     * @param length the number of its bytes
     * @return the piece that is in the index; {@link Pieces#NONE} if the heap has no room for another one, so that this
     *     piece is not in the index
     */
    int findOrAdd(int piece, int hash, byte[] content, int length) {
        Stripe stripe = stripe(hash);
        Backoff.spin(stripe.lock);
        try {
            int found = findLocked(stripe, hash, content, length);
            if (found != Pieces.NONE) {
                return found;
            }
            if (!stripe.tryMakeRoom()) {
                return Pieces.NONE;
            }
            stripe.insert(hash, piece);
            pieces.setReferences(piece, 1);
            pieces.setHash(piece, hash);
            return piece;
        } finally {
            stripe.lock.unlock();
        }
    }

    /**
     * Removes a reference to a piece of the index. Allocates nothing, not even while waiting for the lock.
     *
     * @return whether it was the last one: the piece is then no longer in the index
     */
    boolean release(int piece) {
        int hash = pieces.hash(piece);
        Stripe stripe = stripe(hash);
        Backoff.spin(stripe.lock);
        try {
            int references = pieces.references(piece) - 1;
            pieces.setReferences(piece, references);
            if (references > 0) {
                return false;
            }
            stripe.remove(hash, piece);
            return true;
        } finally {
            stripe.lock.unlock();
        }
    }

    /** {@return the heap memory of the tables in bytes} */
    long bytes() {
        long slots = 0;
        for (Stripe stripe : stripes) {
            Backoff.spin(stripe.lock);
            try {
                slots += stripe.slots.length;
            } finally {
                stripe.lock.unlock();
            }
        }
        return slots * Long.BYTES;
    }
}
