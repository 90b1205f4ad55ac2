// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import org.junit.jupiter.api.BeforeAll;

final class Ffm extends Contract {

    Ffm() {
        super("ffm");
    }

    @BeforeAll
    static void assumeUsable() {
        assumeUsable("ffm");
    }

    @Override
    protected boolean revokesBuffers() {
        return true;
    }
}
