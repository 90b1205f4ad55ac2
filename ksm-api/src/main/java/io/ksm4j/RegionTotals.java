package io.ksm4j;

import io.ksm4j.internal.linux.Pagemap;
import io.ksm4j.internal.linux.Smaps;
import io.ksm4j.internal.management.SharedTable;
import io.ksm4j.internal.registry.RangeIndex;
import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.stats.RegionStats;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

/**
 * Counts all that is marked in this JVM, in one pass over {@code smaps}. What it allocates does not grow with the number of
 * regions.
 */
final class RegionTotals {

    private final Kernel kernel;
    private final RegionTable table = SharedTable.table();
    private RegionScan.Counts counts = new RegionScan.Counts();
    private final OptionalLong ksmZeroBytes;

    /** Mappings that hold marked memory and other memory. */
    private final List<AddressRange> mixed = new ArrayList<>();

    // What the table says about one mapping.
    private long mappingEnd;
    private long reached;
    private long wanted;
    private final RangeIndex.NodeVisitor adding = this::addWanted;

    private RegionTotals(Kernel kernel) {
        this.kernel = kernel;
        this.ksmZeroBytes = kernel.ksmZeroBytes();
    }

    static RegionStats read(Kernel kernel) {
        RegionTotals totals = new RegionTotals(kernel);
        for (int attempt = 0; !(totals.pass() && totals.countMixed()); attempt++) {
            if (attempt == RegionScan.ATTEMPTS) {
                throw RegionScan.tooFast(totals.reached);
            }
        }
        return totals.counts.toStats(totals.ksmZeroBytes);
    }

    /**
     * Reads all mappings.
     *
     * @return false if one was changed meanwhile and read twice
     */
    private boolean pass() {
        counts = new RegionScan.Counts();
        mixed.clear();
        boolean zeroPages = ksmZeroBytes.orElse(0) > 0;
        try (Smaps mapping = kernel.proc.smaps();
                Pagemap pagemap = zeroPages ? kernel.proc.pagemap(kernel.pageSize) : null) {
            while (mapping.next()) {
                // Any mapping shows what this kernel tells, also where nothing is marked.
                counts.mergedTold &= mapping.ksm >= 0;
                long size = mapping.end - mapping.start;
                // What the kernel has no mark on did not take it, or is no longer the memory that was marked.
                long marked = mapping.mergeable ? wantedIn(mapping.start, mapping.end) : 0;
                if (marked > 0 && mapping.isReadTwice()) {
                    return false;
                }
                if (marked == size) {
                    counts.add(mapping);
                    counts.present += pagemap != null ? pagemap.presentBytes(mapping.start, mapping.end) : 0;
                } else if (marked > 0) {
                    mixed.add(AddressRange.between(mapping.start, mapping.end));
                }
            }
        } catch (IOException e) {
            throw kernel.proc.unreadable("self/smaps", e);
        }
        return true;
    }

    /** Bytes of a mapping that open regions want merged, each counted once. */
    private long wantedIn(long start, long end) {
        mappingEnd = end;
        reached = start;
        wanted = 0;
        table.lock();
        try {
            table.forEachOverlapping(start, end, adding);
        } finally {
            table.unlock();
        }
        return wanted;
    }

    private boolean addWanted(int node) {
        if (table.isWanted(node) && !table.is(table.base(node), RegionTable.RECORDED)) {
            long from = Math.max(table.start(node), reached);
            long to = Math.min(table.end(node), mappingEnd);
            if (from < to) {
                wanted += to - from;
                reached = to;
            }
        }
        return true;
    }

    /**
     * Counts what regions have of mappings that hold memory marked by others, too.
     *
     * @return false if a region was closed meanwhile
     */
    private boolean countMixed() {
        if (mixed.isEmpty()) {
            return true;
        }
        List<AddressRange> ranges = new ArrayList<>();
        Map<Integer, RegionScan.Owner> owners = new LinkedHashMap<>();
        table.lock();
        try {
            mixed.forEach(mapping -> addMarked(mapping, ranges, owners));
        } finally {
            table.unlock();
        }
        if (ranges.isEmpty()) {
            return true;
        }
        RegionScan scan = new RegionScan(kernel, ranges, owners.values());
        if (scan.run() != null) {
            return false;
        }
        ranges.forEach(range -> counts.add(scan.countsOf(range)));
        return true;
    }

    private void addMarked(AddressRange mapping, List<AddressRange> ranges, Map<Integer, RegionScan.Owner> owners) {
        long[] from = {mapping.start()};
        table.forEachOverlapping(mapping.start(), mapping.end(), node -> {
            int base = table.base(node);
            if (table.isWanted(node) && !table.is(base, RegionTable.RECORDED)) {
                long start = Math.max(table.start(node), from[0]);
                long end = Math.min(table.end(node), mapping.end());
                if (start < end) {
                    ranges.add(AddressRange.between(start, end));
                    from[0] = end;
                }
                owners.computeIfAbsent(
                        base,
                        region -> new RegionScan.Owner(
                                table.slotOf(region), AddressRange.between(table.start(region), table.end(region))));
            }
            return true;
        });
    }
}
