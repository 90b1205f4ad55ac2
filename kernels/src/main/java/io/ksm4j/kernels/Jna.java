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
