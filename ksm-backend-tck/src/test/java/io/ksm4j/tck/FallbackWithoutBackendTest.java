// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.ksm4j.Ksm;
import io.ksm4j.KsmUnsupportedException;
import io.ksm4j.RegionOptions;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.Finding.Kind;
import io.ksm4j.stats.RegionStats;
import org.junit.jupiter.api.Test;

/** The fallback without a backend: the class path of this module has none. */
class FallbackWithoutBackendTest extends RegionContract {

    private static final Ksm KSM = Ksm.fallback();

    @Override
    protected Ksm ksm() {
        return KSM;
    }

    @Test
    void isUsedWhereNoBackendWorks() {
        assertThatExceptionOfType(KsmUnsupportedException.class)
                .isThrownBy(Ksm::system)
                .withMessageContaining("none was found")
                .withMessageContaining("io.ksm4j:ksm-ffm");
        assertThat(Ksm.systemOrFallback().backend()).isEqualTo("fallback");
    }

    @Test
    void saysThatNothingWillMerge() {
        assertThat(ksm().support().canMark()).isFalse();
        assertThat(ksm().support().canMerge()).isFalse();
        assertThat(ksm().support().obstacles()).extracting(Finding::kind).contains(Kind.FALLBACK);
        assertThat(allocate(2, RegionOptions.DEFAULT).stats()).isEqualTo(RegionStats.NONE);
    }

    @Test
    void holdsLessThanTwoGibibytesInARegion() {
        assertThatExceptionOfType(UnsupportedOperationException.class)
                .isThrownBy(() -> ksm().allocate(3L << 30))
                .withMessageContaining("2 GiB");
    }
}
