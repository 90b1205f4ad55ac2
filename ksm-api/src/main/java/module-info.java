import org.jspecify.annotations.NullMarked;

/** The API of ksm4j: off-heap memory that Linux's Kernel Samepage Merging may share. */
@NullMarked
@SuppressWarnings("module") // The modules named below are compiled later.
module io.ksm4j {
    requires transitive java.management;
    requires jdk.jfr;
    requires static transitive org.jspecify;

    exports io.ksm4j;
    exports io.ksm4j.internal to
            io.ksm4j.control,
            io.ksm4j.jna,
            io.ksm4j.jnr,
            io.ksm4j.junit,
            io.ksm4j.micrometer,
            io.ksm4j.tools;
    exports io.ksm4j.internal.linux to
            io.ksm4j.control,
            io.ksm4j.junit,
            io.ksm4j.tools;
    exports io.ksm4j.pool;
    exports io.ksm4j.spi;
    exports io.ksm4j.stats;

    uses io.ksm4j.spi.KsmBackendProvider;
    uses io.ksm4j.spi.KsmStartup;
}
