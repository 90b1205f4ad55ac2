import org.jspecify.annotations.NullMarked;

/** The command {@code ksm}. */
@NullMarked
@SuppressWarnings("requires-automatic") // JLine 3 has no module-info.
module io.ksm4j.tools {
    requires info.picocli;
    requires io.ksm4j;
    requires io.ksm4j.control;
    requires io.ksm4j.plot;
    requires java.logging;
    requires jdk.httpserver;
    requires static jdk.attach;
    requires org.jline.terminal;
    requires static org.jspecify;

    opens io.ksm4j.tools to
            info.picocli;
    opens io.ksm4j.tools.attach to
            info.picocli;
    opens io.ksm4j.tools.doctor to
            info.picocli;
    opens io.ksm4j.tools.estimate to
            info.picocli;
    opens io.ksm4j.tools.live to
            info.picocli;
    opens io.ksm4j.tools.output to
            info.picocli;
    opens io.ksm4j.tools.place to
            info.picocli;
    opens io.ksm4j.tools.run to
            info.picocli;
    opens io.ksm4j.tools.status to
            info.picocli;
    opens io.ksm4j.tools.tune to
            info.picocli;
}
