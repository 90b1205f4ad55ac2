// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.management.SharedTable;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/**
 * The memory that ksm4j has marked in this JVM: one registry for all class loaders and all copies of ksm4j that they
 * have loaded. With {@code -Dio.ksm4j.jmx=false}, each copy has its own registry.
 *
 * <p>Marks are counted: where regions share pages, a page stays mergeable while at least one of them wants it. Whenever
 * no region is being changed, the registry agrees with {@code /proc/self/smaps}. It does not contain marks that were
 * set in other ways ({@code madvise} calls of other code, {@link ProcessMerging}).
 *
 * @since 0.1.0
 */
public final class MergeRegistry {

    private static final MergeRegistry SYSTEM = new MergeRegistry();

    private MergeRegistry() {}

    /**
     * {@return the registry of the JVM, always the same object; with {@code -Dio.ksm4j.jmx=false}, the registry of this
     * copy of ksm4j}
     */
    public static MergeRegistry system() {
        return SYSTEM;
    }

    /**
     * A range that one region wants to be mergeable.
     *
     * @param range the range; other regions may want parts of it as well
     * @param owner the name of the region or, if it has none, of the thread that opened it
     * @param since when the range was marked
     * @since 0.1.0
     */
    public record Mark(AddressRange range, String owner, Instant since) {}

    /**
     * Returns all marks. Time and memory are proportional to their number.
     *
     * @return the marks in order of address
     */
    public List<Mark> marks() {
        return marks(0, Long.MAX_VALUE);
    }

    /**
     * Returns the marks that contain an address.
     *
     * @param address any address
     * @return one mark for each region that wants the page at this address to be mergeable; empty if there is none
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
     * Returns whether any region wants the page at an address to be mergeable. The time is proportional to the
     * logarithm of the number of marks.
     *
     * @param address any address
     * @return true if a mark contains the address
     */
    public boolean isMergeable(long address) {
        return address >= 0 && address != Long.MAX_VALUE && SharedTable.table().isWantedAt(address);
    }

    /**
     * Returns the marked ranges. Marks that overlap or touch form one range.
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

    /** {@return the number of bytes marked mergeable; a byte counts once, however many regions want it} */
    public long mergeableBytes() {
        return SharedTable.table().mergeableBytes.get();
    }

    /** {@return the number of open regions, marked or not} */
    public long openRegions() {
        return SharedTable.table().openRegions();
    }

    /**
     * Returns the number of regions that became unreachable before they were closed, and were reclaimed, since the JVM
     * started. Each is logged once; with {@code -Dio.ksm4j.trackLeaks=true}, the log shows where it was opened.
     *
     * @return the number of leaks
     */
    public long leaks() {
        return SharedTable.table().leaks.get();
    }
}
