// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.management.SharedTable;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/**
 * What ksm4j has marked in this JVM: one registry for all class loaders, however many copies of ksm4j they loaded. With
 * {@code -Dio.ksm4j.jmx=false} every copy counts alone.
 *
 * <p>Marks are counted: where regions share pages, a page stays mergeable while at least one of them wants it. What the
 * registry says and what the kernel says in {@code /proc/self/smaps} is the same whenever no region is being changed. Marks
 * made by other means ({@code madvise} by somebody else, {@link ProcessMerging}) are not in it.
 */
public final class MergeRegistry {

    private static final MergeRegistry SYSTEM = new MergeRegistry();

    private MergeRegistry() {}

    /**
     * The JVM's registry; with {@code -Dio.ksm4j.jmx=false}, that of this copy of ksm4j.
     *
     * @return always the same one
     */
    public static MergeRegistry system() {
        return SYSTEM;
    }

    /**
     * A wish of one region that a range be mergeable.
     *
     * @param range the range; other regions may want parts of it too
     * @param owner the name of the region, or of the thread that opened it
     * @param since when it was marked
     */
    public record Mark(AddressRange range, String owner, Instant since) {}

    /**
     * Every mark. Takes time and memory in proportion to their number.
     *
     * @return the marks in order of address
     */
    public List<Mark> marks() {
        return marks(0, Long.MAX_VALUE);
    }

    /**
     * The marks that cover an address.
     *
     * @param address any address
     * @return one mark for each region that wants this address merged; empty if none does
     */
    public List<Mark> marksCovering(long address) {
        return address < 0 || address == Long.MAX_VALUE ? List.of() : marks(address, address + 1);
    }

    private static List<Mark> marks(long from, long to) {
        return SharedTable.table().marks(from, to, Integer.MAX_VALUE).stream()
                .map(mark -> new Mark(
                        AddressRange.between(mark.start(), mark.end()),
                        mark.owner(),
                        Instant.ofEpochMilli(mark.since())))
                .toList();
    }

    /**
     * Whether some region wants an address merged. Takes time in proportion to the logarithm of the number of marks.
     *
     * @param address any address
     * @return true if it lies in a mark
     */
    public boolean isMergeable(long address) {
        return address >= 0 && address != Long.MAX_VALUE && SharedTable.table().isWantedAt(address);
    }

    /**
     * What is mergeable, with marks that overlap or touch made one.
     *
     * @return the ranges in order of address
     */
    public List<AddressRange> mergeableRanges() {
        List<AddressRange> ranges = new ArrayList<>();
        long[] joined = {0, 0};
        for (Mark mark : marks()) {
            if (mark.range().start() > joined[1]) {
                if (joined[1] > 0) {
                    ranges.add(AddressRange.between(joined[0], joined[1]));
                }
                joined[0] = mark.range().start();
            }
            joined[1] = Math.max(joined[1], mark.range().end());
        }
        if (joined[1] > 0) {
            ranges.add(AddressRange.between(joined[0], joined[1]));
        }
        return ranges;
    }

    /**
     * Bytes marked mergeable, each counted once however many regions want it.
     *
     * @return bytes
     */
    public long mergeableBytes() {
        return SharedTable.table().mergeableBytes.get();
    }

    /**
     * Regions that are open, marked or not.
     *
     * @return a count
     */
    public long openRegions() {
        return SharedTable.table().openRegions();
    }

    /**
     * Regions that were forgotten and reclaimed since the JVM started. Each was logged once, with the place it was opened if
     * {@code -Dio.ksm4j.trackLeaks=true} is set.
     *
     * @return a count
     */
    public long leaks() {
        return SharedTable.table().leaks.get();
    }
}
