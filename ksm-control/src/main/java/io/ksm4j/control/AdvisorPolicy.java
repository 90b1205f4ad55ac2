// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.time.Duration;

/** Implements {@link TuningPolicy#advisor}. */
final class AdvisorPolicy {

    private static final Duration PAUSE = Duration.ofSeconds(10);

    private final KsmSettings settings;

    AdvisorPolicy(Duration fullScan, double coreShare) {
        if (!(coreShare >= 0.01 && coreShare <= 1)) {
            throw new IllegalArgumentException("a share of a core must be 0.01 to 1 here: " + coreShare);
        }
        settings = KsmSettings.EMPTY
                .with(KsmSetting.RUN, 1)
                .with(KsmSetting.ADVISOR_TARGET_SCAN_TIME, fullScan.toSeconds())
                .with(KsmSetting.ADVISOR_MAX_CPU, Math.round(coreShare * 100))
                .with(KsmSetting.ADVISOR_MODE, KsmSetting.SCAN_TIME);
    }

    Decision decide(Observation now) {
        if (now.settings().get(KsmSetting.ADVISOR_MODE).isEmpty()) {
            throw new NoSuchSettingException(
                    KsmSetting.ADVISOR_MODE,
                    "this kernel has no advisor (new in Linux 6.8), or a container hides it: use another policy");
        }
        return new Decision(settings, PAUSE, "the kernel chooses pages_to_scan");
    }
}
