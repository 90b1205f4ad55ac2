// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.MergeRegion;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

/** All numbers that the kernel reports are available, and all others are empty. */
@OnlyIn({Situation.PLAIN, Situation.READ_ONLY, Situation.NUMA, Situation.SWAP})
@EnabledIfKsm
final class Statistics {

    @Test
    void numbersOfTheMachineAreThereWhereTheKernelHasThem() {
        KsmStats stats = KsmStats.read();
        assertThat(stats.isAvailable()).isTrue();
        assertThat(stats.pageSize()).isEqualTo(Backend.any().pageSize());
        assertThat(stats.pagesShared()).isPresent();
        assertThat(stats.pagesSharing()).isPresent();
        assertThat(stats.fullScans()).isPresent();
        assertThat(stats.savedBytes()).isPresent();
        assertThat(stats.run()).hasValue(KernelFiles.counter("run"));
        assertThat(stats.pagesToScan()).hasValue(KernelFiles.counter("pages_to_scan"));
        assertTold(Feature.MERGE_ACROSS_NODES, stats.mergeAcrossNodes());
        assertTold(Feature.USE_ZERO_PAGES, stats.useZeroPages());
        assertTold(Feature.MAX_PAGE_SHARING, stats.maxPageSharing());
        assertTold(Feature.GENERAL_PROFIT, stats.generalProfit());
        assertTold(Feature.KSM_ZERO_PAGES, stats.ksmZeroPages());
        assertTold(Feature.PAGES_SCANNED, stats.pagesScanned());
        assertTold(Feature.SMART_SCAN, stats.smartScan());
        assertTold(Feature.PAGES_SKIPPED, stats.pagesSkipped());
        assertTold(Feature.ADVISOR_MODE, stats.advisorMode());
        assertTold(Feature.COW_KSM, stats.cowKsm());
        assertTold(Feature.SWPIN_COPY, stats.ksmSwpinCopy());
    }

    @Test
    void numbersOfThisProcessAreThereWhereTheKernelHasThem() {
        try (MergeRegion region = Backend.ksm().allocate(1)) {
            region.buffer().put(0, (byte) 1);
            ProcessKsmStats stats = ProcessKsmStats.read();
            assertTold(Feature.MERGING_PAGES, stats.mergingPages());
            assertTold(Feature.STAT, stats.rmapItems());
            assertTold(Feature.STAT_PROCESS_PROFIT, stats.processProfit());
            assertTold(Feature.STAT_ZERO_PAGES, stats.zeroPages());
            assertThat(stats.mergeable())
                    .isEqualTo(Feature.STAT_MERGEABLE.isThere() ? Optional.of(true) : Optional.empty());
            assertThat(stats.mergeAny())
                    .isEqualTo(Feature.STAT_MERGEABLE.isThere() ? Optional.of(false) : Optional.empty());
            assertThat(ProcessKsmStats.read(stats.pid()).entries())
                    .containsOnlyKeys(stats.entries().keySet());
        }
    }

    private static void assertTold(Feature feature, OptionalLong number) {
        assertThat(number.isPresent()).as(feature.label()).isEqualTo(feature.isThere());
    }

    private static void assertTold(Feature feature, Optional<?> told) {
        assertThat(told.isPresent()).as(feature.label()).isEqualTo(feature.isThere());
    }
}
