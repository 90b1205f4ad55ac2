import org.jspecify.annotations.NullMarked;

/** Mergeable memory for the buffers of Apache Arrow. */
@NullMarked
module io.ksm4j.arrow {
    requires transitive io.ksm4j;
    requires transitive org.apache.arrow.memory.core;
    requires static org.jspecify;

    exports io.ksm4j.arrow;
}
