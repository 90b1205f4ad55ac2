package io.ksm4j.stats;

import java.util.OptionalLong;

/**
 * What regions occupy and save, read from {@code /proc/self/smaps}.
 *
 * <p>A record of numbers that were read: its constructor checks none of them.
 *
 * <p>The numbers are those of the regions' own pages, also where the kernel has joined a region and its neighbours to one
 * mapping. Memory that several regions share counts in each of them.
 *
 * @param residentBytes memory the pages appear to occupy ({@code Rss})
 * @param markedBytes bytes that the kernel has marked mergeable (flag {@code mg}), resident or not; less than the size of a
 *     marked region if the kernel did not take the mark everywhere
 * @param mergedBytes bytes of pages that {@code ksmd} has merged ({@code KSM}); empty on kernels that do not tell (before
 *     Linux 6.7)
 * @param zeroBytes bytes of pages that read as zeros from the kernel's own page of zeros, put there by {@code ksmd} ({@code
 *     use_zero_pages}); they occupy nothing, and are in none of the other numbers. A page that was read and never written looks
 *     the same: it counts only where {@code ksmd} has put such pages somewhere into this process, and no more are counted than
 *     those. Empty on kernels that do not tell (before Linux 6.6)
 * @param hugeBytes bytes in transparent huge pages, which do not merge until they are split ({@code AnonHugePages})
 * @param savedBytes what merging saves: {@code Rss} less {@code Pss}, and never more than {@code mergedBytes}. Of a page that n
 *     mappings share each is said to save (n&minus;1)/n, so the savings of all sharers add up to what the machine saves. The kernel
 *     rounds {@code Pss} down to kilobytes, once a mapping, and so may add up to 1 KiB each
 */
public record RegionStats(
        long residentBytes,
        long markedBytes,
        OptionalLong mergedBytes,
        OptionalLong zeroBytes,
        long hugeBytes,
        long savedBytes) {

    /** Nothing resident, nothing marked. */
    public static final RegionStats NONE = new RegionStats(0, 0, OptionalLong.empty(), OptionalLong.empty(), 0, 0);

    /**
     * The numbers of these regions and others together.
     *
     * @param other the others
     * @return the sum; what the kernel does not tell of one of them is empty, unless that one is {@link #NONE}
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
     * The share of the pages in use that is merged, with each other or with the kernel's page of zeros. On kernels that do not
     * tell what is merged it is the share that is saved, which is less.
     *
     * @return 0 to 1; 0 if no page is in use
     */
    public double mergedShare() {
        long zero = zeroBytes.orElse(0);
        long inUse = residentBytes + zero;
        return inUse == 0 ? 0 : (double) (mergedBytes.orElse(savedBytes) + zero) / inUse;
    }
}
