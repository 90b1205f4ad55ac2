import org.jspecify.annotations.NullMarked;

/** Reads, changes, borrows and restores the settings of the kernel thread {@code ksmd}, and tunes them. */
@NullMarked
module io.ksm4j.control {
    requires transitive io.ksm4j;
    requires jdk.jfr;
    requires static org.jspecify;

    exports io.ksm4j.control;

    provides io.ksm4j.spi.KsmStartup with
            io.ksm4j.control.RestoreAtStartup;
}
