// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.RegionStats;
import io.ksm4j.tck.Mapping;
import io.ksm4j.testsupport.MemoryCgroup;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Merged and marked pages that are swapped out keep their bytes, and the numbers stay correct. */
@OnlyIn(Situation.SWAP)
@EnabledIfKsm(control = true)
final class Swapping {

    private static final long MERGED = 16L << 20;
    private static final long UNIQUE = 4L << 20;

    /** Has pages that merge and pages that do not. */
    static final class Program {

        private Program() {}

        public static void main(String[] arguments) throws IOException {
            Ksm ksm = Backend.ksm();
            PageContents content = PageContents.unique(ksm.pageSize());
            try (MergeRegion merged = ksm.allocate(MERGED, Merging.SMALL_PAGES);
                    MergeRegion unique = ksm.allocate(UNIQUE, Merging.SMALL_PAGES)) {
                long contents = Child.contents(merged, ksm.pageSize());
                content.fill(merged.buffer(), page -> page % contents);
                content.fill(unique.buffer(), page -> 1_000_000 + page);
                Child.say("merged at " + merged.address());
                Child.say("unique at " + unique.address());
                Child.awaitParent("filled");

                for (MergeRegion region : List.of(merged, unique)) {
                    RegionStats stats = region.stats();
                    long swapped = Mapping.between(
                                    region.address(), region.range().end())
                            .get(0)
                            .bytes("Swap");
                    assertThat(swapped).isPositive();
                    assertThat(stats.residentBytes() + swapped).isEqualTo(region.size());
                    assertThat(stats.mergedBytes().orElse(0)).isBetween(0L, stats.residentBytes());
                    assertThat(stats.savedBytes()).isBetween(0L, stats.residentBytes());
                    assertThat(stats.markedBytes()).isEqualTo(region.size());
                    assertThat(region.isMergeable()).isTrue();
                    assertThat(region.unmarkedRanges()).isEmpty();
                }
                content.verify(merged.buffer(), page -> page % contents);
                content.verify(unique.buffer(), page -> 1_000_000 + page);
                assertThat(merged.stats().residentBytes()).isEqualTo(MERGED);
                assertThat(unique.stats().residentBytes()).isEqualTo(UNIQUE);
                Child.awaitParent("intact");

                content.verify(merged.buffer(), page -> page % contents);
                merged.markUnmergeable();
                Merging.assertStats(merged, MERGED, 0, 0);
                content.verify(merged.buffer(), page -> page % contents);
                content.verify(unique.buffer(), page -> 1_000_000 + page);
                Child.say("done");
            }
        }
    }

    @Test
    void pagesThatWereSwappedOutKeepTheirBytesAndMergeAgain(RunningKsmd ksmd) {
        assumeTrue(Feature.RECLAIM.isThere(), "this kernel has no memory.reclaim");
        Sharing.awaitNone();
        Sharing before = Sharing.now();
        try (MemoryCgroup cgroup = MemoryCgroup.create();
                RunningJvm child = RunningJvm.start(cgroup.commandPrefix(), Commands.SMALL_HEAP, Program.class)) {
            long merged = Long.parseLong(child.awaitLineThatStartsWith("merged at "));
            long unique = Long.parseLong(child.awaitLineThatStartsWith("unique at "));
            child.awaitLine("filled");
            awaitMerged(ksmd, child, merged, before);
            ksmd.set(KsmSetting.RUN, 0);

            await().atMost(PATIENCE).until(() -> {
                cgroup.reclaim(64 << 20);
                return KernelFiles.mapping(child.pid(), merged, "Swap") >= MERGED / 2
                        && KernelFiles.mapping(child.pid(), unique, "Swap") >= UNIQUE / 2;
            });
            child.proceed();
            child.awaitLine("intact");
            ksmd.set(KsmSetting.RUN, 1);
            awaitMerged(ksmd, child, merged, before);
            ksmd.set(KsmSetting.RUN, 0);
            child.proceed();
            child.awaitLine("done");
            assertThat(child.awaitExit()).isZero();
        }
    }

    /** The kernel counts pages that are swapped in as merged until ksmd scans them, except in smaps. */
    private static void awaitMerged(RunningKsmd ksmd, RunningJvm child, long merged, Sharing before) {
        if (!Feature.SMAPS_KSM.isThere()) {
            ksmd.awaitFullScans(3);
            Unmerging.awaitMerged(ksmd, child, MERGED, before);
            return;
        }
        await().atMost(PATIENCE).until(() -> {
            ksmd.awaitFullScans(3);
            return KernelFiles.mapping(child.pid(), merged, "KSM") == MERGED;
        });
    }
}
