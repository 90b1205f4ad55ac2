// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import org.junit.jupiter.api.BeforeAll;

final class Jnr extends Contract {

    Jnr() {
        super("jnr");
    }

    @BeforeAll
    static void assumeUsable() {
        assumeUsable("jnr");
    }
}
