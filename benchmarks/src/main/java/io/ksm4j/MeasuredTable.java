package io.ksm4j;

/** A {@link RegionTable} of its own, without the objects and the backend that regions have. In this package to get there. */
public final class MeasuredTable {

    private final RegionTable table = new RegionTable(RegionTable.newShared());
    private RegionTable.Slot[] slots;

    /** An empty table. */
    public MeasuredTable(int capacity) {
        slots = new RegionTable.Slot[capacity];
    }

    /** Adds a region that wants all of its memory merged. */
    public void add(int region, long start, long end) {
        table.lock();
        try {
            slots[region] = table.open(start, end, 0, "measured");
        } finally {
            table.unlock();
        }
        RegionTable.release(slots[region], RegionTable.MARKED, 0);
    }

    /** Removes a region. */
    public void remove(int region) {
        table.lock();
        try {
            table.close(slots[region]);
        } finally {
            table.unlock();
        }
    }

    /** Visits all regions that overlap a range, and says whether there are any. */
    public boolean overlaps(long from, long to) {
        int[] found = {0};
        table.lock();
        try {
            table.forEachOverlapping(from, to, node -> {
                found[0]++;
                return true;
            });
        } finally {
            table.unlock();
        }
        return found[0] > 0;
    }

    /** What {@link MergeRegistry#isMergeable} asks the JVM's table. */
    public boolean isMergeable(long address) {
        return table.isWantedAt(address);
    }

    /** Drops the regions' places in the table, which regions keep, and not the table. */
    public void forgetPlaces() {
        slots = new RegionTable.Slot[0];
    }
}
