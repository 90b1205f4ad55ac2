package io.ksm4j.junit;

import io.ksm4j.AddressRange;
import io.ksm4j.KsmException;
import io.ksm4j.MergeRegion;
import io.ksm4j.stats.RegionStats;
import java.util.List;

/**
 * Assertions on what has merged of a region at this moment. A failure has the numbers of the region, what {@code ksmd} does, and what
 * keeps merging from paying; it looks like this:
 *
 * <pre>
 * catalog [0x7f3c40000000, 0x7f3c44000000): expected at least 99.00 % merged, but was 12.50 % merged
 *   region: resident 64.00 MiB, marked 64.00 MiB of 64.00 MiB, merged 8.00 MiB, zero pages 0 KiB, in huge pages 0 KiB, saved 6.00 MiB
 *   ksmd: run 0, pages_to_scan 100, sleep_millisecs 20, smart_scan 1, use_zero_pages 0, full_scans 41
 *   advice: KSMD_STOPPED, ksmd is stopped (run is 0), so nothing merges: write 1 to /sys/kernel/mm/ksm/run
 * </pre>
 *
 * <p>Merging takes its time: {@link RunningKsmd#awaitMerged} waits for it, and {@link RunningKsmd#awaitFullScans} before an assertion
 * that something did not merge. All of them throw what {@link MergeRegion#stats()} does for regions that are closed or cannot be read.
 */
public final class KsmAssertions {

    private KsmAssertions() {}

    /**
     * At least this share of the pages in use is merged.
     *
     * @param share above 0 and at most 1; see {@link RegionStats#mergedShare()}
     * @param region an open region
     * @throws AssertionError if less is
     * @throws IllegalArgumentException if the share is not in its range
     */
    public static void assertMerged(double share, MergeRegion region) {
        if (!(share > 0 && share <= 1)) {
            throw new IllegalArgumentException("share " + share + " is not above 0 and at most 1");
        }
        RegionStats stats = region.stats();
        if (stats.mergedShare() < share) {
            throw MergeFailure.of(
                    region,
                    stats,
                    "at least " + MergeFailure.percent(share) + " merged",
                    MergeFailure.percent(stats.mergedShare()) + " merged",
                    "");
        }
    }

    /**
     * No page is merged, neither with another nor with the kernel's page of zeros.
     *
     * @param region an open region
     * @throws AssertionError if one is
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
     * Merging saves at least so much of the region.
     *
     * @param bytes how much; see {@link RegionStats#savedBytes()}
     * @param region an open region
     * @throws AssertionError if it saves less
     * @throws IllegalArgumentException if the bytes are negative
     */
    public static void assertSaved(long bytes, MergeRegion region) {
        if (bytes < 0) {
            throw new IllegalArgumentException(bytes + " bytes are negative");
        }
        RegionStats stats = region.stats();
        if (stats.savedBytes() < bytes) {
            throw MergeFailure.of(
                    region,
                    stats,
                    "at least " + MergeFailure.bytes(bytes) + " saved",
                    MergeFailure.bytes(stats.savedBytes()) + " saved",
                    "");
        }
    }

    /**
     * The kernel has all of the region marked mergeable.
     *
     * @param region an open region
     * @throws AssertionError if it has not; the message names the parts
     * @throws KsmException as {@link MergeRegion#unmarkedRanges()}
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
