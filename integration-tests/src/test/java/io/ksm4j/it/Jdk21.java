package io.ksm4j.it;

import static org.junit.jupiter.api.Assumptions.abort;

import java.nio.file.Path;
import java.util.List;

/** A Java 21, which may be no more than a runtime. */
final class Jdk21 {

    private Jdk21() {}

    /** Skips the test where there is none. */
    static Path home() {
        String script = Path.of("../libexec/jdk21").toAbsolutePath().normalize().toString();
        KsmProcess find = KsmProcess.runCommand(List.of(script, "find"));
        return find.output().isEmpty()
                ? abort(find.errors().strip())
                : Path.of(find.output().strip());
    }
}
