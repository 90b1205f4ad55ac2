import org.jspecify.annotations.NullMarked;

/** The contract that every backend must fulfil, as tests: for authors of backends. */
@NullMarked
module io.ksm4j.tck {
    requires transitive io.ksm4j;
    requires transitive org.junit.jupiter.api;
    requires transitive io.ksm4j.junit;
    requires org.assertj.core;
    requires static org.jspecify;

    exports io.ksm4j.tck;

    opens io.ksm4j.tck to
            org.junit.platform.commons;
}
