import org.jspecify.annotations.NullMarked;

/** The API of ksm4j: off-heap memory that Linux's Kernel Samepage Merging may share. */
@NullMarked
module io.ksm4j {
    requires transitive java.management;
    requires jdk.jfr;
    requires static transitive org.jspecify;

    exports io.ksm4j;
    exports io.ksm4j.pool;
    exports io.ksm4j.spi;
    exports io.ksm4j.stats;

    uses io.ksm4j.spi.KsmBackendProvider;
    uses io.ksm4j.spi.KsmStartup;
}
