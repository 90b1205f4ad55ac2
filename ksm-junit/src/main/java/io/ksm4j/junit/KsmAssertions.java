// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.junit;

import io.ksm4j.AddressRange;
import io.ksm4j.KsmException;
import io.ksm4j.MergeRegion;
import io.ksm4j.stats.RegionStats;
import java.util.List;

/**
 * Assertions on how much of a region is merged at this moment. The message of a failure has the numbers of the region,
 * the state of {@code ksmd}, and the reasons merging is not paying off. For example:
 *
 * <pre>
 * catalog [0x7f3c40000000, 0x7f3c44000000): expected at least 99.00 % merged, but was 12.50 % merged
 *   region: resident 64.00 MiB, marked 64.00 MiB of 64.00 MiB, merged 8.00 MiB, zero pages 0 KiB, ...
 *   ksmd: run 0, pages_to_scan 100, sleep_millisecs 20, smart_scan 1, use_zero_pages 0, full_scans 41
 *   advice: KSMD_STOPPED, ksmd is stopped (run is 0), so nothing merges: write 1 to /sys/kernel/mm/ksm/run
 * </pre>
 *
 * <p>Merging takes time. {@link RunningKsmd#awaitMerged} waits for it; call {@link RunningKsmd#awaitFullScans} before
 * an assertion that something did not merge. All assertions throw the exceptions of {@link MergeRegion#stats()} for
 * regions that are closed or cannot be read.
 *
 * @since 0.1.0
 */
public final class KsmAssertions {

    private KsmAssertions() {}

    /**
     * Asserts that at least this share of a region's pages in use is merged.
     *
     * @param minShare above 0 and at most 1; see {@link RegionStats#mergedShare()}
     * @param region an open region
     * @throws AssertionError if less is merged
     * @throws IllegalArgumentException if the share is out of range
     */
    public static void assertMerged(double minShare, MergeRegion region) {
        if (!(minShare > 0 && minShare <= 1)) {
            throw new IllegalArgumentException("invalid share " + minShare + ": must be above 0 and at most 1");
        }
        RegionStats stats = region.stats();
        if (stats.mergedShare() < minShare) {
            throw MergeFailure.of(
                    region,
                    stats,
                    "at least " + MergeFailure.percent(minShare) + " merged",
                    MergeFailure.percent(stats.mergedShare()) + " merged",
                    "");
        }
    }

    /**
     * Asserts that no page of a region is merged, neither with another page nor with the zero page.
     *
     * @param region an open region
     * @throws AssertionError if a page is merged
     */
    public static void assertNothingMerged(MergeRegion region) {
        RegionStats stats = region.stats();
        if (stats.mergedShare() > 0) {
            throw MergeFailure.of(
                    region,
                    stats,
                    "nothing merged",
                    MergeFailure.bytes(stats.mergedBytes().orElse(stats.savedBytes())
                                    + stats.zeroBytes().orElse(0))
                            + " merged",
                    "");
        }
    }

    /**
     * Asserts that merging saves at least this much memory in a region.
     *
     * @param minBytes see {@link RegionStats#savedBytes()}
     * @param region an open region
     * @throws AssertionError if merging saves less
     * @throws IllegalArgumentException if the number is negative
     */
    public static void assertSaved(long minBytes, MergeRegion region) {
        if (minBytes < 0) {
            throw new IllegalArgumentException("invalid number of bytes " + minBytes + ": must be at least 0");
        }
        RegionStats stats = region.stats();
        if (stats.savedBytes() < minBytes) {
            throw MergeFailure.of(
                    region,
                    stats,
                    "at least " + MergeFailure.bytes(minBytes) + " saved",
                    MergeFailure.bytes(stats.savedBytes()) + " saved",
                    "");
        }
    }

    /**
     * Asserts that the kernel has marked all of a region mergeable.
     *
     * @param region an open region
     * @throws AssertionError if a part is not marked; the message names the parts
     * @throws KsmException see {@link MergeRegion#unmarkedRanges()}
     */
    public static void assertMarked(MergeRegion region) {
        List<AddressRange> unmarked = region.unmarkedRanges();
        if (!unmarked.isEmpty()) {
            throw MergeFailure.of(
                    region,
                    region.stats(),
                    "all marked mergeable",
                    unmarked.size() == 1 ? "not marked in one part" : "not marked in " + unmarked.size() + " parts",
                    "not marked: " + unmarked);
        }
    }
}
