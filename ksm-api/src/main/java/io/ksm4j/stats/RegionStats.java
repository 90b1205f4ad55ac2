// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import java.util.OptionalLong;

/**
 * How much memory regions occupy and save, read from {@code /proc/self/smaps}. The constructor does not validate its
 * arguments.
 *
 * <p>The values cover the regions' own pages only, even if the kernel has joined a region and its neighbours into one
 * mapping. Memory that several regions cover counts in each of them.
 *
 * @param residentBytes the memory that the pages appear to occupy ({@code Rss})
 * @param markedBytes the number of bytes that the kernel has marked mergeable (flag {@code mg}), resident or not; less
 *     than the size of a marked region if the kernel did not take the mark everywhere
 * @param mergedBytes the size of the pages that {@code ksmd} has merged ({@code KSM}); empty on kernels that do not
 *     report it (before Linux 6.7)
 * @param zeroBytes the size of the pages that {@code ksmd} has replaced by the kernel's zero page
 *     ({@code use_zero_pages}). They occupy no memory and are not included in the other values. A page that was read
 *     but never written looks the same: such pages count only if {@code ksmd} has put the zero page anywhere in this
 *     process, and no more are counted than it has put there. Empty on kernels that do not report it (before Linux 6.6)
 * @param hugeBytes the number of bytes in transparent huge pages, which do not merge until they are split
 *     ({@code AnonHugePages})
 * @param savedBytes what merging saves: {@code Rss} minus {@code Pss}, and at most {@code mergedBytes}. Each of n
 *     mappings that share a page is counted as saving (n&minus;1)/n of it, so the savings of all of them add up to
 *     those of the machine. The kernel rounds {@code Pss} down to kilobytes per mapping, which may add up to 1 KiB per
 *     mapping
 * @since 0.1.0
 */
public record RegionStats(
        long residentBytes,
        long markedBytes,
        OptionalLong mergedBytes,
        OptionalLong zeroBytes,
        long hugeBytes,
        long savedBytes) {

    /** Nothing resident and nothing marked. */
    public static final RegionStats NONE = new RegionStats(0, 0, OptionalLong.empty(), OptionalLong.empty(), 0, 0);

    /**
     * Returns the total of these and other statistics.
     *
     * @param other the other statistics
     * @return the total; a value that one of them lacks is empty, unless that one is {@link #NONE}
     */
    public RegionStats plus(RegionStats other) {
        if (equals(NONE)) {
            return other;
        }
        return other.equals(NONE)
                ? this
                : new RegionStats(
                        residentBytes + other.residentBytes,
                        markedBytes + other.markedBytes,
                        plus(mergedBytes, other.mergedBytes),
                        plus(zeroBytes, other.zeroBytes),
                        hugeBytes + other.hugeBytes,
                        savedBytes + other.savedBytes);
    }

    private static OptionalLong plus(OptionalLong one, OptionalLong other) {
        return one.isPresent() && other.isPresent()
                ? OptionalLong.of(one.getAsLong() + other.getAsLong())
                : OptionalLong.empty();
    }

    /**
     * Returns the share of the pages in use that is merged, with each other or with the kernel's zero page. On kernels
     * that do not report merged pages, this is the share that is saved, which is lower.
     *
     * @return 0 to 1; 0 if no page is in use
     */
    public double mergedShare() {
        long zero = zeroBytes.orElse(0);
        long inUse = residentBytes + zero;
        return inUse == 0 ? 0 : (double) (mergedBytes.orElse(savedBytes) + zero) / inUse;
    }
}
