// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.Ksm;
import io.ksm4j.KsmPermissionException;
import io.ksm4j.KsmSupport;
import io.ksm4j.MergeRegion;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.control.KsmTuner;
import io.ksm4j.control.TuningPolicy;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.tck.Mapping;
import io.ksm4j.testsupport.EndedProcess;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** {@code /sys} is read-only, as in most containers, and {@code ksmd} is stopped. */
@OnlyIn(Situation.READ_ONLY)
@EnabledIfKsm
final class ReadOnlySys {

    private final KsmDaemon ksmd = KsmDaemon.system();

    @Test
    void markingWorksAndSupportSaysThatNothingWillMerge() {
        Ksm ksm = Backend.ksm();
        try (MergeRegion region = ksm.allocate(4 * ksm.pageSize())) {
            assertThat(Mapping.between(region.address(), region.range().end()))
                    .isNotEmpty()
                    .allMatch(Mapping::isMergeable);
        }
        KsmSupport support = ksm.support();
        assertThat(support.canMark()).isTrue();
        assertThat(support.canMerge()).isFalse();
        assertThat(support.obstacles())
                .extracting(Finding::kind)
                .containsExactly(Finding.Kind.KSMD_STOPPED, Finding.Kind.NO_PERMISSION);
        assertThat(KsmStats.read().run()).hasValue(0);
    }

    @Test
    void settingsAreReadAndCannotBeBorrowed() {
        Map<String, String> before = KernelFiles.settings();
        assertThat(ksmd.mayChange()).isFalse();
        assertThat(ksmd.settings().get(KsmSetting.RUN)).hasValue(0);
        KsmSettings wanted = KsmSettings.EMPTY.with(KsmSetting.RUN, 1);
        assertThatThrownBy(() -> ksmd.borrow(wanted))
                .isInstanceOf(KsmPermissionException.class)
                .hasMessageContaining("this process may not write /sys/kernel/mm/ksm/run")
                .hasMessageContaining("read-only");
        assertThatThrownBy(() -> ksmd.change(wanted)).isInstanceOf(KsmPermissionException.class);
        assertThatThrownBy(() -> KsmTuner.start(ksmd, TuningPolicy.converge(0.5)))
                .isInstanceOf(KsmPermissionException.class);
        assertThat(KernelFiles.settings()).isEqualTo(before);
    }

    @Test
    void doctorSaysSo() {
        EndedProcess doctor = Commands.ksm("doctor", "--json");
        assertThat(doctor.exitStatus()).as("%s", doctor).isEqualTo(3);
        assertThat(doctor.output())
                .startsWith("{\"canMerge\": false, \"verdict\": \"fixable\", ")
                .containsPattern(
                        "\"name\": \"container\", \"verdict\": \"warning\", \"reason\": \"[^\"]*/sys is read-only: ")
                .contains("{\"name\": \"rights\", \"verdict\": \"warning\", ");
    }
}
