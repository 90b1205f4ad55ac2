// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import org.junit.jupiter.api.BeforeAll;

final class Jna extends Contract {

    Jna() {
        super("jna");
    }

    @BeforeAll
    static void assumeUsable() {
        assumeUsable("jna");
    }
}
