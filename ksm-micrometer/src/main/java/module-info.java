import org.jspecify.annotations.NullMarked;

/** What merging does, as Micrometer's meters. */
@NullMarked
module io.ksm4j.micrometer {
    requires transitive io.ksm4j;
    requires transitive micrometer.core;
    requires static org.jspecify;

    exports io.ksm4j.micrometer;
}
