import org.jspecify.annotations.NullMarked;

/** The backend of ksm4j on JNA. */
@NullMarked
module io.ksm4j.jna {
    requires com.sun.jna;
    requires transitive io.ksm4j;
    requires static org.jspecify;

    exports io.ksm4j.jna;

    provides io.ksm4j.spi.KsmBackendProvider with
            io.ksm4j.jna.JnaBackendProvider;
}
