// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.arrow;

import java.util.LinkedHashSet;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The small buffers of one tenant, packed into pages by size. Where each is placed depends only on the order in which
 * the tenant allocates and releases, so tenants that do the same get equal pages. Not safe for use by multiple threads.
 */
final class SmallBuffers {

    /** Arrow recommends buffers that start on multiples of 64. */
    private static final int MIN_SLOT_SIZE = 64;

    /** The slabs that are not full, by the size of their slots. The first one is used until it is full. */
    private final SortedMap<Integer, Set<Slab>> withRoom = new TreeMap<>();

    private int slabs;

    static int slotSize(long size) {
        return Math.max(MIN_SLOT_SIZE, Integer.highestOneBit(Math.max((int) size, 1) * 2 - 1));
    }

    Block.@Nullable Slot take(int slotSize) {
        Set<Slab> candidates = withRoom.get(slotSize);
        if (candidates == null || candidates.isEmpty()) {
            return null;
        }
        Slab slab = candidates.iterator().next();
        Block.Slot slot = slab.take();
        if (slab.isFull()) {
            candidates.remove(slab);
        }
        return slot;
    }

    void add(Slab slab) {
        slabs++;
        withRoom.computeIfAbsent(slab.slotSize, size -> new LinkedHashSet<>()).add(slab);
    }

    /** {@return whether this was the last slot in use of its slab, which is then no longer part of this} */
    boolean free(Block.Slot slot) {
        Slab slab = slot.slab();
        slab.free(slot.index());
        Set<Slab> sameSize = withRoom.computeIfAbsent(slab.slotSize, size -> new LinkedHashSet<>());
        if (!slab.isEmpty()) {
            sameSize.add(slab);
            return false;
        }
        sameSize.remove(slab);
        slabs--;
        return true;
    }

    boolean isEmpty() {
        return slabs == 0;
    }
}
