// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.jnr;

import io.ksm4j.Ksm;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tck.BackendContract;

class JnrBackendTest extends BackendContract {

    private static final KsmBackend BACKEND = new JnrBackendProvider().open();
    private static final Ksm KSM = Ksm.with(BACKEND);

    @Override
    protected KsmBackend backend() {
        return BACKEND;
    }

    @Override
    protected Ksm ksm() {
        return KSM;
    }
}
