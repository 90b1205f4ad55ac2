// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.registry;

import io.ksm4j.MergeRegistry;
import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.internal.registry.Slot;

/** A separate {@link RegionTable}, without the objects and the backend of regions. */
final class MeasuredTable {

    private final RegionTable table = new RegionTable(RegionTable.newShared());
    private Slot[] slots;

    /** Creates an empty table. */
    MeasuredTable(int capacity) {
        slots = new Slot[capacity];
    }

    /** Adds a region whose whole memory is marked. */
    void add(int region, long start, long end) {
        slots[region] = table.open(start, end, 0, "measured");
        slots[region].release(Slot.MARKED, 0);
    }

    /** Removes a region. */
    void remove(int region) {
        table.close(slots[region]);
    }

    /** Visits all regions that overlap a range, and returns whether there are any. */
    boolean overlaps(long from, long to) {
        int[] found = {0};
        table.forEachMarked(from, to, (start, end, since) -> found[0]++);
        return found[0] > 0;
    }

    /** Does the look-up of {@link MergeRegistry#isMergeable}. */
    boolean isMergeable(long address) {
        return table.isWantedAt(address);
    }

    /** Drops the slots, which are kept by regions and not by the table. */
    void dropSlots() {
        slots = new Slot[0];
    }
}
