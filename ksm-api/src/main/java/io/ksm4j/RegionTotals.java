// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.linux.Pagemap;
import io.ksm4j.internal.linux.Smaps;
import io.ksm4j.internal.management.SharedTable;
import io.ksm4j.internal.registry.RangeVisitor;
import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.stats.RegionStats;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

/**
 * Counts all memory that is marked in this JVM, in one pass over {@code smaps}. What it allocates does not grow with
 * the number of regions.
 */
final class RegionTotals {

    private final Kernel kernel;
    private final RegionTable table = SharedTable.table();
    private RegionScan.Counts counts = new RegionScan.Counts();
    private final OptionalLong ksmZeroBytes;

    /** Mappings that contain both marked and other memory. */
    private final List<AddressRange> mixed = new ArrayList<>();

    /** The start of the mapping that was read last. */
    private long address;

    /** The number of bytes of that mapping that regions want. */
    private long wanted;

    private final RangeVisitor adding = this::addWanted;

    private RegionTotals(Kernel kernel) {
        this.kernel = kernel;
        this.ksmZeroBytes = kernel.ksmZeroBytes();
    }

    static RegionStats read(Kernel kernel) {
        RegionTotals totals = new RegionTotals(kernel);
        for (int attempt = 0; !(totals.pass() && totals.countMixed()); attempt++) {
            if (attempt == RegionScan.ATTEMPTS) {
                throw RegionScan.tooFast(totals.address);
            }
        }
        return totals.counts.toStats(totals.ksmZeroBytes);
    }

    /**
     * Reads all mappings.
     *
     * @return false if one has changed in the meantime and was read twice
     */
    private boolean pass() {
        counts = new RegionScan.Counts();
        mixed.clear();
        boolean zeroPages = ksmZeroBytes.orElse(0) > 0;
        try (Smaps mapping = kernel.proc.smaps();
                Pagemap pagemap = zeroPages ? kernel.proc.pagemap(kernel.pageSize) : null) {
            while (mapping.next()) {
                // Every mapping shows which counters this kernel has, even where nothing is marked.
                counts.mergedReported &= mapping.ksm >= 0;
                long size = mapping.end - mapping.start;
                // If the kernel has no mark here, it has not accepted it, or this is other memory than the marked one.
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

    /** Returns how many bytes of a mapping open regions want, each byte counted once. */
    private long wantedIn(long start, long end) {
        address = start;
        wanted = 0;
        table.forEachMarked(start, end, adding);
        return wanted;
    }

    private void addWanted(long start, long end, long since) {
        wanted += end - start;
    }

    /**
     * Counts the memory of regions in mappings that also contain memory marked in other ways.
     *
     * @return false if a region was closed in the meantime
     */
    private boolean countMixed() {
        if (mixed.isEmpty()) {
            return true;
        }
        List<AddressRange> ranges = new ArrayList<>();
        Map<Integer, RegionScan.Owner> owners = new LinkedHashMap<>();
        for (AddressRange mapping : mixed) {
            List<RegionTable.Region> regions = table.marking(
                    mapping.start(), mapping.end(), (from, to, since) -> ranges.add(AddressRange.between(from, to)));
            for (RegionTable.Region region : regions) {
                owners.putIfAbsent(
                        region.slot().node,
                        new RegionScan.Owner(region.slot(), AddressRange.between(region.start(), region.end())));
            }
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
}
