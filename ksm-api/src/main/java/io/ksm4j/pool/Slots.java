// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.internal.Backoff;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Pieces that share pages with others: a slab allocator (Bonwick: The Slab Allocator, 1994). A page is divided into
 * slots of one size. Sizes are rounded up by an eighth at most, and then as far as the number of slots in a page
 * allows.
 *
 * <pre>
 *   page of 4096 bytes, class of 448 bytes
 *   +--------+--------+--------+--------+--------+--------+--------+--------+--------+---+
 *   | slot 0 |      1 |      2 |      3 |      4 |      5 |      6 |      7 |      8 |   |
 *   +--------+--------+--------+--------+--------+--------+--------+--------+--------+---+
 *   piece = page &lt;&lt; slotBits | slot
 * </pre>
 *
 * <p>A slab is the page, its free slots as bits, and for each slot what the index needs. A size class links those of
 * its slabs that have free slots. The page of an empty slab is given back.
 */
final class Slots extends Pieces {

    /** The smallest slot, and the unit of all sizes. */
    private static final int UNIT = 16;

    /** A page that is divided into slots. */
    static final class Slab {

        private final SizeClass sizeClass;
        private final long[] free;
        private final int[] references;
        private final int[] hashes;
        private int page;
        private int freeSlots;
        private @Nullable Slab next;
        private @Nullable Slab previous;

        Slab(SizeClass sizeClass, boolean isIndexed) {
            this.sizeClass = sizeClass;
            this.free = new long[(sizeClass.slots + Long.SIZE - 1) / Long.SIZE];
            this.references = new int[isIndexed ? sizeClass.slots : 0];
            this.hashes = new int[isIndexed ? sizeClass.slots : 0];
            this.freeSlots = sizeClass.slots;
            for (int slot = 0; slot < sizeClass.slots; slot++) {
                free[slot / Long.SIZE] |= 1L << slot;
            }
        }

        private int takeSlot() {
            int word = 0;
            while (free[word] == 0) {
                word++;
            }
            int slot = word * Long.SIZE + Long.numberOfTrailingZeros(free[word]);
            free[word] &= free[word] - 1;
            freeSlots--;
            return slot;
        }
    }

    /** The slabs of one slot size. */
    static final class SizeClass {

        private final int size;
        private final int slots;
        private final ReentrantLock lock = new ReentrantLock();
        private @Nullable Slab first;

        SizeClass(int size, int slots) {
            this.size = size;
            this.slots = slots;
        }

        private void link(Slab slab) {
            slab.previous = null;
            slab.next = first;
            if (first != null) {
                first.previous = slab;
            }
            first = slab;
        }

        private void unlink(Slab slab) {
            if (slab.next != null) {
                slab.next.previous = slab.previous;
            }
            if (slab.previous != null) {
                slab.previous.next = slab.next;
            } else {
                first = slab.next;
            }
        }
    }

    private final Pages pages;
    private final int pageSize;
    private final int slotBits;

    /** The number of slots in all slabs. */
    private final AtomicLong slots = new AtomicLong();

    /** The class of each length, by units, rounded up. */
    private final SizeClass[] classes;

    Slots(Pages pages, @Nullable ContentHash hash) {
        super(hash);
        this.pages = pages;
        this.pageSize = pages.pageSize;
        this.slotBits = slotBits(pageSize);
        this.classes = new SizeClass[pageSize / UNIT + 1];
        int units = 1;
        while (units < classes.length) {
            int slots = Math.max(1, pageSize / (UNIT * Math.max(units, (units - 1) * 9 / 8)));
            SizeClass sizeClass = new SizeClass(pageSize / slots / UNIT * UNIT, slots);
            Arrays.fill(classes, units, sizeClass.size / UNIT + 1, sizeClass);
            units = sizeClass.size / UNIT + 1;
        }
    }

    private static int slotBits(int pageSize) {
        return Integer.numberOfTrailingZeros(pageSize / UNIT);
    }

    /** Returns how many pages can be named together with their slots. */
    static int maxPages(int pageSize) {
        return 1 << (Integer.SIZE - 1 - slotBits(pageSize));
    }

    private SizeClass sizeClass(int length) {
        return classes[(length + UNIT - 1) / UNIT];
    }

    private Slab slab(int piece) {
        int page = piece >>> slotBits;
        return pages.region(page).slab(pages.indexInRegion(page));
    }

    private int slot(int piece) {
        return piece & ((1 << slotBits) - 1);
    }

    @Override
    int take(int length) {
        SizeClass sizeClass = sizeClass(length);
        int piece = takeFromSlab(sizeClass, null);
        return (piece == NONE ? takeFromSlab(sizeClass, newSlab(sizeClass)) : piece) | PageRegion.RETAINED;
    }

    private int takeFromSlab(SizeClass sizeClass, @Nullable Slab added) {
        Backoff.spin(sizeClass.lock);
        try {
            if (added != null) {
                sizeClass.link(added);
            }
            Slab slab = sizeClass.first;
            if (slab == null) {
                return NONE;
            }
            int piece = slab.page << slotBits | slab.takeSlot();
            if (slab.freeSlots == 0) {
                sizeClass.unlink(slab);
            }
            return piece;
        } finally {
            sizeClass.lock.unlock();
        }
    }

    private Slab newSlab(SizeClass sizeClass) {
        Slab slab = new Slab(sizeClass, index != null);
        int[] taken = new int[1];
        pages.take(taken, 1);
        slab.page = taken[0] & ~PageRegion.RETAINED;
        pages.region(slab.page).setSlab(pages.indexInRegion(slab.page), slab);
        slots.addAndGet(sizeClass.slots);
        return slab;
    }

    @Override
    void giveBack(int piece) {
        Slab slab = slab(piece);
        SizeClass sizeClass = slab.sizeClass;
        boolean isEmpty;
        Backoff.spin(sizeClass.lock);
        try {
            int slot = slot(piece);
            slab.free[slot / Long.SIZE] |= 1L << slot;
            slab.freeSlots++;
            if (slab.freeSlots == 1) {
                sizeClass.link(slab);
            }
            isEmpty = slab.freeSlots == sizeClass.slots;
            if (isEmpty) {
                sizeClass.unlink(slab);
            }
        } finally {
            sizeClass.lock.unlock();
        }
        if (isEmpty) {
            slots.addAndGet(-sizeClass.slots);
            pages.region(slab.page).setSlab(pages.indexInRegion(slab.page), null);
            pages.giveBack(slab.page, 1);
        }
    }

    /** {@return the heap memory of what the slabs keep for the index, in bytes} */
    long indexedBytes() {
        return slots.get() * 2 * Integer.BYTES;
    }

    @Override
    ByteBuffer memory(int piece) {
        return pages.memory(piece >>> slotBits);
    }

    @Override
    int position(int piece) {
        return pages.position(piece >>> slotBits) + slot(piece) * slab(piece).sizeClass.size;
    }

    @Override
    int size(int length) {
        return sizeClass(length).size;
    }

    @Override
    boolean hasContent(int piece, byte[] content, int length) {
        int size = size(length);
        if (slab(piece).sizeClass.size != size) {
            // Another hash, of a value of another size.
            return false;
        }
        memory(piece).get(position(piece), content, pageSize, size);
        return Arrays.equals(content, 0, size, content, pageSize, pageSize + size);
    }

    @Override
    int references(int piece) {
        return slab(piece).references[slot(piece)];
    }

    @Override
    void setReferences(int piece, int references) {
        slab(piece).references[slot(piece)] = references;
    }

    @Override
    int hash(int piece) {
        return slab(piece).hashes[slot(piece)];
    }

    @Override
    void setHash(int piece, int hash) {
        slab(piece).hashes[slot(piece)] = hash;
    }
}
