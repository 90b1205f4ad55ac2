// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.jna;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.Finding.Kind;
import io.ksm4j.stats.RegionStats;
import io.ksm4j.tck.Mapping;
import io.ksm4j.tck.RegionContract;
import org.junit.jupiter.api.Test;

/** The fallback where a backend works: it maps memory through the backend, but marks nothing. */
class FallbackTest extends RegionContract {

    private static final Ksm KSM = Ksm.fallback();

    @Override
    protected Ksm ksm() {
        return KSM;
    }

    @Test
    void memoryIsMappedWithGuardPagesAndNotMarked() {
        try (MergeRegion region = ksm().allocate((3L << 30) + 1, RegionOptions.DEFAULT)) {
            region.buffer(region.size() - 1, 1).put(0, (byte) 1);
            assertThat(region.isMergeable()).isTrue();
            assertThat(Mapping.between(region.address(), region.range().end()))
                    .singleElement()
                    .satisfies(mapping -> {
                        assertThat(mapping.start()).isEqualTo(region.address());
                        assertThat(mapping.end()).isEqualTo(region.range().end());
                        assertThat(mapping.isMergeable()).isFalse();
                    });
        }
    }

    @Test
    void reportsThatNothingWillMerge() {
        assertThat(ksm().support().canMark()).isFalse();
        assertThat(ksm().support().canMerge()).isFalse();
        assertThat(ksm().support().obstacles()).extracting(Finding::kind).contains(Kind.FALLBACK);
        try (MergeRegion region = ksm().allocate(1)) {
            assertThat(region.stats()).isEqualTo(RegionStats.NONE);
        }
    }

    @Test
    void theSystemUsesTheBackendWhereItWorks() {
        assertThat(Ksm.system().backend()).isEqualTo("jna");
        assertThat(Ksm.systemOrFallback().backend())
                .isEqualTo(Ksm.system().support().canMark() ? "jna" : "fallback");
    }
}
