// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.Ksm;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tck.BackendContract;
import java.util.Objects;

/** The backends' contract, for a backend on the class path. */
@OnlyIn({Situation.PLAIN, Situation.THP, Situation.READ_ONLY, Situation.HIDDEN})
abstract class Contract extends BackendContract {

    private final String name;

    Contract(String name) {
        this.name = name;
    }

    /** Skips all tests of a backend that does not work here. */
    static void assumeUsable(String name) {
        assumeTrue(
                Backend.usable().containsKey(name),
                () -> Backend.refused().getOrDefault(name, "it is not on the class path"));
    }

    @Override
    protected KsmBackend backend() {
        return Objects.requireNonNull(Backend.usable().get(name));
    }

    @Override
    protected Ksm ksm() {
        return Backend.ksm(name);
    }
}
