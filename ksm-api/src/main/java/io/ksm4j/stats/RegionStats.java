package io.ksm4j.stats;

import java.util.OptionalLong;

/**
 * What one region occupies and saves, read from {@code /proc/self/smaps}.
 *
 * <p>The kernel counts per mapping. A region with guard pages is a mapping of its own, so its numbers are exact; without them,
 * and for adopted memory, they are those of every mapping the region touches.
 *
 * @param residentBytes memory the region's pages appear to occupy ({@code Rss})
 * @param mergedBytes bytes of pages that {@code ksmd} has merged ({@code KSM}); empty on kernels before 6.6, which do not tell
 * @param savedBytes what sharing saves: {@code Rss} less {@code Pss}. Of a page that n mappings share each is said to save
 *     (n&minus;1)/n, so the savings of all sharers add up to what the machine saves. Pages merged with the kernel's zero page
 *     ({@code use_zero_pages}) leave {@code Rss} and are not in it.
 */
public record RegionStats(long residentBytes, OptionalLong mergedBytes, long savedBytes) {}
