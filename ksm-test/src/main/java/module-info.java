import org.jspecify.annotations.NullMarked;

/** Support for tests on kernels with KSM, and the contract that every backend must pass. */
@NullMarked
module io.ksm4j.test {
    requires transitive io.ksm4j;
    requires transitive org.junit.jupiter.api;
    requires org.assertj.core;
    requires static org.jspecify;

    exports io.ksm4j.test;

    opens io.ksm4j.test to
            org.junit.platform.commons;
}
