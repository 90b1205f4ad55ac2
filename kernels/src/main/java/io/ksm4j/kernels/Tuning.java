// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmTuner;
import io.ksm4j.control.NoSuchSettingException;
import io.ksm4j.control.TuningPolicy;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.PageContents;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The tuner controls {@code ksmd} until all copies are merged, and then restores the settings. */
@OnlyIn(Situation.PLAIN)
@EnabledIfKsm(control = true)
final class Tuning {

    private static final int PAGES = 1024;

    private final Ksm ksm = Backend.ksm();

    /** Settings of the machine that differ from the kernel's defaults. */
    private static void stop(RunningKsmd ksmd) {
        ksmd.set(KsmSetting.RUN, 0);
        ksmd.set(KsmSetting.PAGES_TO_SCAN, 123);
        ksmd.set(KsmSetting.SLEEP_MILLISECS, 20);
    }

    @Test
    void copiesAreMergedAndAllIsPutBack(RunningKsmd ksmd) throws InterruptedException {
        stop(ksmd);
        Map<String, String> before = KernelFiles.settings();
        PageContents content = PageContents.unique(ksm.pageSize());
        try (KsmTuner tuner = KsmTuner.start(KsmDaemon.system(), TuningPolicy.converge(0.5));
                MergeRegion one = ksm.allocate(PAGES * ksm.pageSize(), Merging.SMALL_PAGES);
                MergeRegion other = ksm.allocate(PAGES * ksm.pageSize(), Merging.SMALL_PAGES)) {
            content.fill(one.buffer(), page -> page);
            content.fill(other.buffer(), page -> page);
            // Where the kernel does not report merged pages, the share is that of the saved bytes.
            double share = Feature.SMAPS_KSM.isThere() ? 1 : 0.5;
            assertThat(ksm.awaitMerged(List.of(one, other), share, PATIENCE).isReached())
                    .isTrue();
            assertThat(tuner.isRunning()).isTrue();
            assertThat(KernelFiles.settings()).isNotEqualTo(before);
            content.verify(one.buffer(), page -> page);
            content.verify(other.buffer(), page -> page);
        }
        assertThat(KernelFiles.settings()).isEqualTo(before);
    }

    @Test
    void theAdvisorIsPutBackOrSaidToBeMissing(RunningKsmd ksmd) {
        stop(ksmd);
        Map<String, String> before = KernelFiles.settings();
        TuningPolicy advisor = TuningPolicy.advisor(Duration.ofSeconds(10), 0.5);
        if (Feature.ADVISOR_MODE.isThere()) {
            try (KsmTuner tuner = KsmTuner.start(KsmDaemon.system(), advisor)) {
                assertThat(tuner.isRunning()).isTrue();
                assertThat(KernelFiles.settings().get("advisor_mode")).contains("[scan-time]");
            }
        } else {
            assertThatThrownBy(() -> KsmTuner.start(KsmDaemon.system(), advisor))
                    .isInstanceOf(NoSuchSettingException.class)
                    .hasMessageContaining("this kernel has no advisor");
        }
        assertThat(KernelFiles.settings()).isEqualTo(before);
    }
}
