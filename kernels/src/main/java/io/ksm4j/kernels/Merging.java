// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.KsmUnsupportedException;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.RegionStats;
import io.ksm4j.testsupport.PageContents;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import org.awaitility.core.ThrowingRunnable;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * The kernel merges marked pages and unmerges written and unmarked ones. No byte changes, and all numbers are exact.
 */
@OnlyIn({Situation.PLAIN, Situation.NUMA, Situation.SWAP, Situation.THP})
@EnabledIfKsm(control = true)
final class Merging {

    private static final int PAGES = 64;

    static final RegionOptions SMALL_PAGES = RegionOptions.DEFAULT.withHugePages(HugePages.AVOID);

    private final Ksm ksm = Backend.ksm();
    private final long page = ksm.pageSize();
    private final long size = PAGES * page;
    private final PageContents content = PageContents.unique(ksm.pageSize());

    @Test
    void equalPagesMergeAndComeApartWhenWrittenOrUnmarked(RunningKsmd ksmd) {
        try (MergeRegion one = ksm.allocate(size, SMALL_PAGES);
                MergeRegion other = ksm.allocate(size, SMALL_PAGES)) {
            content.fill(one.buffer(), i -> i);
            content.fill(other.buffer(), i -> 1000 + i);
            // Pages of closed regions are counted until ksmd scans them.
            ksmd.awaitFullScans(3);
            Sharing before = Sharing.now();
            assertStats(one, size, 0, 0);
            assertStats(other, size, 0, 0);

            content.fill(other.buffer(), i -> i);
            awaitMerging(ksmd, () -> {
                assertStats(one, size, size, size / 2);
                assertStats(other, size, size, size / 2);
                assertThat(Sharing.since(before)).isEqualTo(new Sharing(PAGES, PAGES));
            });
            OptionalLong merging =
                    KernelFiles.mergingPages(ProcessHandle.current().pid());
            assertThat(merging.orElse(2 * PAGES)).isEqualTo(2 * PAGES);
            content.verify(one.buffer(), i -> i);
            content.verify(other.buffer(), i -> i);

            // A write makes this page private again.
            content.fill(one.buffer(), 5, 5000);
            assertStats(one, size, size - page, (size - page) / 2);
            assertStats(other, size, size, (size - page) / 2);
            content.verify(one.buffer(), i -> i == 5 ? 5000 : i);
            content.verify(other.buffer(), i -> i);

            // Unmarking makes all pages of the region private again.
            one.markUnmergeable();
            assertStats(one, size, 0, 0);
            assertStats(other, size, size, 0);
            content.verify(one.buffer(), i -> i == 5 ? 5000 : i);
            content.verify(other.buffer(), i -> i);
        }
    }

    /** A shared page has a maximum number of users. Further users get another shared page. */
    @Test
    void identicalPagesAreSharedByAsManyAsTheKernelAllows(RunningKsmd ksmd) {
        assumeTrue(Feature.MAX_PAGE_SHARING.isThere(), "this kernel has no max_page_sharing");
        long limit = ksmd.read("max_page_sharing");
        long pages = 2 * limit + limit / 2;
        try (MergeRegion region = ksm.allocate(pages * page, SMALL_PAGES)) {
            content.fill(region.buffer(), i -> i);
            ksmd.awaitFullScans(3);
            Sharing before = Sharing.now();
            content.fill(region.buffer(), i -> -1);
            awaitMerging(ksmd, () -> {
                assertThat(Sharing.since(before)).isEqualTo(new Sharing(3, pages - 3));
            });
            assertThat(region.stats().mergedBytes()).isEqualTo(ifReported(Feature.SMAPS_KSM, pages * page));
            content.verify(region.buffer(), i -> -1);
        }
    }

    @Test
    void regionsOfOneMappingAreCountedApart(RunningKsmd ksmd) {
        try (MergeRegion memory = ksm.allocate(3 * size, SMALL_PAGES);
                MergeRegion merged = ksm.adopt(memory.address(), size);
                MergeRegion unique = ksm.adopt(memory.address() + size, size);
                MergeRegion half = ksm.adopt(memory.address() + 2 * size, size)) {
            // The first region has pairs, and so has half of the last one.
            content.fill(memory.buffer(), i -> i < PAGES || i >= 2 * PAGES + PAGES / 2 ? i / 2 : 1000 + i);
            awaitMerging(ksmd, () -> {
                Map<MergeRegion, RegionStats> stats = ksm.stats(List.of(merged, unique, half));
                assertStats(stats.get(merged), size, size, size / 2);
                assertStats(stats.get(unique), size, 0, 0);
                assertStats(stats.get(half), size, size / 2, size / 4);
            });
            assertStats(merged, size, size, size / 2);
            assertStats(half, size, size / 2, size / 4);
            assertThat(half.stats().zeroBytes()).isEqualTo(ifReported(Feature.STAT_ZERO_PAGES, 0));
            assertThat(half.stats().markedBytes()).isEqualTo(size);
            assertThat(ksm.stats().residentBytes())
                    .as("every page is counted once")
                    .isEqualTo(3 * size);
            content.verify(memory.buffer(), i -> i < PAGES || i >= 2 * PAGES + PAGES / 2 ? i / 2 : 1000 + i);
        }
    }

    @Test
    void pagesOfZerosBecomeTheKernelsOwn(RunningKsmd ksmd) {
        assumeTrue(Feature.USE_ZERO_PAGES.isThere(), "this kernel has no use_zero_pages");
        try (MergeRegion zeros = ksm.allocate(size, SMALL_PAGES);
                MergeRegion unique = ksm.allocate(size, SMALL_PAGES)) {
            ksmd.set(KsmSetting.USE_ZERO_PAGES, 1);
            // A write allocates a page, even if it writes zeros.
            zeros.buffer().put(new byte[(int) size]);
            content.fill(unique.buffer(), i -> i);
            awaitMerging(ksmd, () -> assertStats(zeros, 0, 0, 0));
            assertThat(zeros.stats().zeroBytes()).isEqualTo(ifReported(Feature.STAT_ZERO_PAGES, size));
            assertThat(unique.stats().zeroBytes()).isEqualTo(ifReported(Feature.STAT_ZERO_PAGES, 0));
            assertThat(zeros.buffer().mismatch(ByteBuffer.allocate((int) size))).isEqualTo(-1);
            content.verify(unique.buffer(), i -> i);
            zeros.buffer().put(3, (byte) 3);
            assertStats(zeros, page, 0, 0);
            assertThat(zeros.buffer().get(3)).isEqualTo((byte) 3);
        }
    }

    @Test
    void aProcessThatOptsInMergesAllButWhatMustNeverMerge(RunningKsmd ksmd) {
        assumeTrue(Feature.MEMORY_MERGE.isThere(), "this kernel has no PR_SET_MEMORY_MERGE");
        try (MergeRegion unmarked = ksm.allocate(size, SMALL_PAGES.withMarking(Marking.UNMERGEABLE));
                MergeRegion marked = ksm.allocate(size, SMALL_PAGES);
                MergeRegion secret = ksm.allocate(size, SMALL_PAGES.withMarking(Marking.NEVER))) {
            List<MergeRegion> all = List.of(unmarked, marked, secret);
            all.forEach(region -> content.fill(region.buffer(), i -> i));
            ksmd.awaitFullScans(3);
            all.forEach(region -> assertStats(region, size, 0, 0));

            ksm.process().markMergeable();
            try {
                assertThat(ksm.process().isMergeable()).isTrue();
                awaitMerging(ksmd, () -> {
                    assertStats(unmarked, size, size, size / 2);
                    assertStats(marked, size, size, size / 2);
                });
                assertStats(secret, size, 0, 0);
            } finally {
                ksm.process().markUnmergeable();
            }
            assertThat(ksm.process().isMergeable()).isFalse();
            assertStats(unmarked, size, 0, 0);
            assertThat(marked.unmarkedRanges()).as("marked again").isEmpty();
            all.forEach(region -> content.verify(region.buffer(), i -> i));
        }
    }

    @Test
    void whereNoProcessCanOptInTheMessageSaysWhy() {
        assumeFalse(Feature.MEMORY_MERGE.isThere(), "this kernel has PR_SET_MEMORY_MERGE");
        for (ThrowingRunnable call : List.<ThrowingRunnable>of(
                ksm.process()::isMergeable, ksm.process()::markMergeable, ksm.process()::markUnmergeable)) {
            assertThatThrownBy(call::run)
                    .isInstanceOf(KsmUnsupportedException.class)
                    .hasMessageContaining("it takes Linux 6.4 or later");
        }
    }

    /** A page that is locked or changes while ksmd scans it is merged in a later scan. */
    static void awaitMerging(RunningKsmd ksmd, ThrowingRunnable merged) {
        await().atMost(PATIENCE).untilAsserted(() -> {
            ksmd.awaitFullScans(3);
            merged.run();
        });
    }

    static void assertStats(MergeRegion region, long resident, long merged, long saved) {
        assertStats(region.stats(), resident, merged, saved);
    }

    /** Numbers that the kernel does not report are empty. */
    private static void assertStats(@Nullable RegionStats stats, long resident, long merged, long saved) {
        assertThat(stats).isNotNull();
        assertThat(stats.residentBytes()).as("resident").isEqualTo(resident);
        assertThat(stats.mergedBytes()).as("merged").isEqualTo(ifReported(Feature.SMAPS_KSM, merged));
        assertThat(stats.savedBytes()).as("saved").isEqualTo(saved);
    }

    static OptionalLong ifReported(Feature feature, long number) {
        return feature.isThere() ? OptionalLong.of(number) : OptionalLong.empty();
    }
}
