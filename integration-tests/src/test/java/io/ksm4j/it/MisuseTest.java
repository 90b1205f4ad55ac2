package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.Ksm;
import io.ksm4j.test.KsmKernel;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * No misuse of the public API crashes the JVM or shows a view bytes that are not its own. {@code -Dksm.misuse.seconds=N} runs
 * longer, {@code -Dksm.seed=N} starts with the sequence that a failure has printed.
 */
class MisuseTest {

    private static final Path SOURCE =
            Path.of("src/test/java", Misuse.class.getName().replace('.', '/') + ".java");

    private final long seconds = Long.getLong("ksm.misuse.seconds", 7);
    private final Duration patience = Duration.ofSeconds(seconds + 120);

    @BeforeEach
    void needsKsm() {
        KsmKernel.require();
    }

    @ParameterizedTest
    @ValueSource(strings = {"ffm", "jna", "jnr"})
    void misuseEndsInExceptionsAndZeros(String backend) {
        ChildJvm child = ChildJvm.run(Misuse.class, patience, arguments(backend));

        assertThat(child.assertEndedWell().output()).contains(backend + ": ");
    }

    @ParameterizedTest
    @ValueSource(strings = {"jna", "jnr"})
    void misuseEndsInExceptionsAndZerosOnJava17(String backend) {
        Optional<Path> java17 = neighbouringJdk17();
        assumeTrue(java17.isPresent(), "no JDK 17 in JAVA17_HOME, in JAVA_HOME or beside the JDK that runs this");

        List<String> arguments = new ArrayList<>(arguments(backend));
        arguments.addAll(List.of(
                "-ea", "-cp", classPathOfJava17(), SOURCE.toAbsolutePath().toString()));
        ChildJvm child = ChildJvm.run(java17.get(), patience, arguments);

        assertThat(child.assertEndedWell().output()).contains(backend + ": ");
    }

    private List<String> arguments(String backend) {
        List<String> arguments = new ArrayList<>(List.of(
                "-Xmx256m",
                "-XX:+UseSerialGC",
                "-D" + Ksm.BACKEND_PROPERTY + "=" + backend,
                "-Dksm.misuse.seconds=" + seconds));
        Optional.ofNullable(System.getProperty("ksm.seed")).ifPresent(seed -> arguments.add("-Dksm.seed=" + seed));
        return arguments;
    }

    /** Without these tests, whose classes are for a later Java: Java 17 compiles the one it runs. */
    private static String classPathOfJava17() {
        Path tests = ClassLoaders.location(MisuseTest.class);
        return Arrays.stream(ChildJvm.classPath().split(File.pathSeparator, -1))
                .filter(entry -> !Path.of(entry).equals(tests))
                .collect(Collectors.joining(File.pathSeparator));
    }

    private static Optional<Path> neighbouringJdk17() {
        Stream<Path> named = Stream.of("JAVA17_HOME", "JAVA_HOME")
                .map(System::getenv)
                .filter(home -> home != null && !home.isEmpty())
                .map(Path::of);
        try (Stream<Path> neighbours =
                Files.list(Path.of(System.getProperty("java.home")).getParent())) {
            return Stream.concat(named, neighbours.sorted())
                    .filter(MisuseTest::isJdk17)
                    .findFirst();
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    private static boolean isJdk17(Path home) {
        try {
            return Files.isExecutable(home.resolve("bin/javac"))
                    && Files.readString(home.resolve("release")).contains("JAVA_VERSION=\"17");
        } catch (IOException e) {
            return false;
        }
    }
}
