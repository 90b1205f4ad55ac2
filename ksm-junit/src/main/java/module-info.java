import org.jspecify.annotations.NullMarked;

/** A JUnit 5 extension for tests that need a kernel with KSM. */
@NullMarked
module io.ksm4j.junit {
    requires transitive io.ksm4j;
    requires transitive io.ksm4j.control;
    requires transitive org.junit.jupiter.api;
    requires static org.jspecify;

    exports io.ksm4j.junit;

    opens io.ksm4j.junit to
            org.junit.platform.commons;
}
