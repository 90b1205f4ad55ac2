// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.Ksm;
import io.ksm4j.KsmSupport;
import io.ksm4j.MergeOutcome;
import io.ksm4j.MergeRegion;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.control.NoSuchSettingException;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.RegionStats;
import io.ksm4j.tck.Mapping;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.PageContents;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** {@code /sys/kernel/mm/ksm} is hidden, as in some containers. */
@OnlyIn(Situation.HIDDEN)
@EnabledIfKsm
final class HiddenFiles {

    private final Ksm ksm = Backend.ksm();

    @Test
    void markingWorksAndWhetherItMergesIsUnknown() throws InterruptedException {
        KsmSupport support = ksm.support();
        assertThat(support.canMark()).isTrue();
        assertThat(support.canMerge()).isFalse();
        assertThat(support.obstacles()).extracting(Finding::kind).containsExactly(Finding.Kind.HIDDEN);
        long size = 4 * ksm.pageSize();
        try (MergeRegion region = ksm.allocate(size, Merging.SMALL_PAGES)) {
            PageContents.unique(ksm.pageSize()).fill(region.buffer(), page -> page);
            assertThat(Mapping.between(region.address(), region.range().end()))
                    .isNotEmpty()
                    .allMatch(Mapping::isMergeable);
            RegionStats stats = region.stats();
            assertThat(stats.residentBytes()).isEqualTo(size);
            assertThat(stats.markedBytes()).isEqualTo(size);
            assertThat(stats.mergedBytes()).isEqualTo(Merging.ifReported(Feature.SMAPS_KSM, 0));
            MergeOutcome outcome = region.awaitMerged(1, Duration.ofMillis(200));
            assertThat(outcome.end()).isEqualTo(MergeOutcome.End.TIMED_OUT);
            assertThat(outcome.fullScans()).isEmpty();
        }
    }

    @Test
    void numbersOfTheMachineAreEmptyRatherThanZero() {
        KsmStats stats = KsmStats.read();
        assertThat(stats.isAvailable()).isFalse();
        assertThat(stats.files()).isEmpty();
        assertThat(stats.run()).isEmpty();
        assertThat(stats.pagesShared()).isEmpty();
        assertThat(stats.pagesSharing()).isEmpty();
        assertThat(stats.fullScans()).isEmpty();
        assertThat(stats.generalProfit()).isEmpty();
        assertThat(stats.savedBytes()).isEmpty();
        assertThat(stats.usedBytes()).isEmpty();
        assertThat(stats.profitBytes()).isEmpty();
        assertThat(stats.sharingRatio()).isEmpty();
        assertThat(stats.fullScanTime()).isEmpty();
    }

    @Test
    void thereAreNoSettings() {
        KsmDaemon ksmd = KsmDaemon.system();
        assertThat(ksmd.mayChange()).isFalse();
        assertThat(ksmd.settings()).isEqualTo(KsmSettings.EMPTY);
        assertThatThrownBy(() -> ksmd.borrow(KsmSettings.EMPTY.with(KsmSetting.RUN, 1)))
                .isInstanceOf(NoSuchSettingException.class)
                .hasMessageContaining("a container hides it");
    }

    @Test
    void doctorSaysUnknownAndStatusSendsToIt() {
        EndedProcess doctor = Commands.ksm("doctor", "--json");
        assertThat(doctor.exitStatus()).as("%s", doctor).isEqualTo(4);
        assertThat(doctor.output())
                .startsWith("{\"canMerge\": null, \"verdict\": \"unknown\", ")
                .contains("{\"name\": \"kernel\", \"verdict\": \"unknown\", ");
        EndedProcess status = Commands.ksm("status");
        assertThat(status.exitStatus()).as("%s", status).isOne();
        assertThat(status.errors()).isEqualTo("ksm: there is no /sys/kernel/mm/ksm: run ksm doctor for details\n");
    }
}
