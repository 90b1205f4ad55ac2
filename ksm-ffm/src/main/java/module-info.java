import org.jspecify.annotations.NullMarked;

/** The backend of ksm4j on the Foreign Function and Memory API, and regions as memory segments. Requires Java 22. */
@NullMarked
module io.ksm4j.ffm {
    requires transitive io.ksm4j;
    requires static transitive org.jspecify;

    exports io.ksm4j.ffm;

    provides io.ksm4j.spi.KsmBackendProvider with
            io.ksm4j.ffm.FfmBackendProvider;
}
