// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.arrow;

import java.util.BitSet;

/** A page of small buffers of one tenant and one size. Not safe for use by multiple threads. */
final class Slab {

    final Block.Pages pages;
    final int slotSize;

    private final int slots;
    private final BitSet used = new BitSet();

    Slab(Block.Pages pages, int slotSize) {
        this.pages = pages;
        this.slotSize = slotSize;
        this.slots = (int) (pages.length() / slotSize);
    }

    /** Takes the first free slot. There must be one. */
    Block.Slot take() {
        int index = used.nextClearBit(0);
        used.set(index);
        return new Block.Slot(this, index);
    }

    void free(int index) {
        used.clear(index);
    }

    boolean isFull() {
        return used.cardinality() == slots;
    }

    boolean isEmpty() {
        return used.isEmpty();
    }
}
