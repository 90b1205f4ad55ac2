import org.jspecify.annotations.NullMarked;

/** Micrometer meters that show the effect of merging. */
@NullMarked
module io.ksm4j.micrometer {
    requires transitive io.ksm4j;
    requires transitive micrometer.core;
    requires static org.jspecify;

    exports io.ksm4j.micrometer;
}
