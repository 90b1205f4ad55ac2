import org.jspecify.annotations.NullMarked;

/** The settings of the kernel's thread {@code ksmd}: read, changed, borrowed. */
@NullMarked
module io.ksm4j.control {
    requires transitive io.ksm4j;
    requires jdk.jfr;
    requires static org.jspecify;

    exports io.ksm4j.control;

    provides io.ksm4j.spi.KsmStartup with
            io.ksm4j.control.RestoreAtStartup;
}
