import org.jspecify.annotations.NullMarked;

/** A JUnit 5 extension for tests on kernels with KSM, and the contract that every backend must pass, which needs AssertJ. */
@NullMarked
module io.ksm4j.test {
    requires transitive io.ksm4j;
    requires transitive io.ksm4j.control;
    requires transitive org.junit.jupiter.api;
    requires static org.assertj.core;
    requires static org.jspecify;

    exports io.ksm4j.junit;
    exports io.ksm4j.test;

    opens io.ksm4j.junit to
            org.junit.platform.commons;
    opens io.ksm4j.test to
            org.junit.platform.commons;
}
