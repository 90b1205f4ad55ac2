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
