// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.quickstart;

import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;

/** Makes {@code ksmd} use a whole processor until the session is closed. */
final class FastKsmd {

    private static final KsmSettings FAST = KsmSettings.EMPTY
            .with(KsmSetting.ADVISOR_MODE, KsmSetting.NONE)
            .with(KsmSetting.PAGES_TO_SCAN, 20_000)
            .with(KsmSetting.SLEEP_MILLISECS, 0)
            .with(KsmSetting.RUN, 1);

    private FastKsmd() {}

    /** Borrows the fast settings and others. Settings that this kernel does not have are left out. */
    static KsmSession borrow(KsmSettings more) {
        KsmDaemon ksmd = KsmDaemon.system();
        return ksmd.borrow(FAST.with(more).presentIn(ksmd.settings()));
    }
}
