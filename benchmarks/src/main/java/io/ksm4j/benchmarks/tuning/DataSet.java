// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;

/**
 * Equal copies of random bytes in which some pages are unique.
 *
 * @param size the bytes of all copies together
 * @param copies the number of copies
 * @param unique the share of pages that equal no other page; they are spread evenly
 */
record DataSet(long size, int copies, double unique) {

    private static final double GIB = 1 << 30;

    private static final RegionOptions UNMARKED =
            RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE).withHugePages(HugePages.AVOID);

    double gib() {
        return size / GIB;
    }

    private long pagesOfACopy(long pageSize) {
        return size / copies / pageSize;
    }

    /** Returns how many unique pages a copy has before this page. */
    private long uniqueBefore(long page) {
        return (long) (page * unique);
    }

    /**
     * Returns how many pages are saved once everything is merged, if at most {@code maxPageSharing} pages may share
     * one.
     */
    long savablePages(long pageSize, long maxPageSharing) {
        long pages = pagesOfACopy(pageSize);
        long kept = Math.ceilDiv(copies, maxPageSharing);
        return (pages - uniqueBefore(pages)) * (copies - kept);
    }

    /** Adds the filled, unmarked copies to a list. The caller must close its regions even if this method fails. */
    void allocate(Ksm ksm, List<MergeRegion> regions) {
        long pages = pagesOfACopy(ksm.pageSize());
        SplittableRandom seeds = new SplittableRandom();
        long seedOfCopies = seeds.nextLong();
        for (int i = 0; i < copies; i++) {
            MergeRegion region = ksm.allocate(pages * ksm.pageSize(), UNMARKED);
            regions.add(region);
            MemorySegment memory = region.view(MemorySegment.class);
            SplittableRandom equalSeeds = new SplittableRandom(seedOfCopies);
            for (long page = 0; page < pages; page++) {
                long equal = equalSeeds.nextLong();
                boolean isUnique = uniqueBefore(page + 1) > uniqueBefore(page);
                fill(memory, page * ksm.pageSize(), ksm.pageSize(), isUnique ? seeds.nextLong() : equal);
            }
        }
    }

    private static void fill(MemorySegment memory, long from, long length, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        for (long at = from; at < from + length; at += Long.BYTES) {
            memory.set(ValueLayout.JAVA_LONG, at, random.nextLong());
        }
    }

    @Override
    public String toString() {
        return String.format(Locale.ROOT, "%s GiB in %d copies, %.0f %% unique", gib(), copies, 100 * unique);
    }
}
