import org.jspecify.annotations.NullMarked;

/** The backend of ksm4j on jnr-ffi. */
@NullMarked
module io.ksm4j.jnr {
    requires transitive io.ksm4j;
    requires org.jnrproject.ffi;
    requires org.jnrproject.jffi;
    requires static org.jspecify;
    // Required by jnr-ffi, which has no module descriptor to say so.
    requires org.objectweb.asm;
    requires org.objectweb.asm.commons;
    requires org.objectweb.asm.tree;
    requires org.objectweb.asm.tree.analysis;
    requires org.objectweb.asm.util;

    exports io.ksm4j.jnr;

    provides io.ksm4j.spi.KsmBackendProvider with
            io.ksm4j.jnr.JnrBackendProvider;
}
