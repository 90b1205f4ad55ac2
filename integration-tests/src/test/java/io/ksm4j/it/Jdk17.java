package io.ksm4j.it;

import static org.junit.jupiter.api.Assumptions.abort;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/** The JDK 17 that the build needs beside a later one. */
final class Jdk17 {

    private Jdk17() {}

    /** Skips the test where there is none. Looks where the build does: the environment, the path, and beside the running JDK. */
    static Path home() throws IOException {
        Stream<Path> named = Stream.of("JAVA17_HOME", "JAVA_HOME")
                .map(System::getenv)
                .filter(Objects::nonNull)
                .map(Path::of);
        List<Path> candidates = new ArrayList<>(named.toList());
        for (String bin : System.getenv().getOrDefault("PATH", "").split(File.pathSeparator, -1)) {
            Path java = Path.of(bin, "java");
            if (Files.isExecutable(java)) {
                candidates.add(java.toRealPath().getParent().getParent());
            }
        }
        try (Stream<Path> siblings = Files.list(
                Path.of(System.getProperty("java.home")).toAbsolutePath().getParent())) {
            candidates.addAll(siblings.toList());
        }
        for (Path candidate : candidates) {
            Path release = candidate.resolve("release");
            if (Files.isExecutable(candidate.resolve("bin/javac"))
                    && Files.isReadable(release)
                    && Files.readString(release).contains("JAVA_VERSION=\"17")) {
                return candidate;
            }
        }
        return abort("no JDK 17 in JAVA17_HOME, JAVA_HOME, PATH or beside " + System.getProperty("java.home"));
    }
}
