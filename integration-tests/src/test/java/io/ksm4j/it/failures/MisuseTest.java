// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.CodeLocation;
import io.ksm4j.it.fixtures.Javac;
import io.ksm4j.it.fixtures.Jdk17;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.testsupport.JavaCommand;
import io.ksm4j.testsupport.TestLength;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * No misuse of the public API crashes the JVM or shows bytes of another region. {@code -Dksm.misuse.seconds=N} runs
 * longer, {@code -Dksm.seed=N} starts with the sequence whose number a failure has printed.
 */
@Aside
@EnabledIfKsm
@Tag("more")
class MisuseTest {

    @TempDir
    private Path classes;

    private final long seconds = Long.getLong("ksm.misuse.seconds", TestLength.times(1));
    private final Duration patience = PATIENCE.plusSeconds(seconds);

    @ParameterizedTest
    @ValueSource(strings = {"ffm", "jna", "jnr"})
    void misuseEndsInExceptionsAndZeros(String backend) {
        List<String> command = new ArrayList<>(arguments(backend));
        command.addAll(List.of(
                "-ea", "--enable-native-access=ALL-UNNAMED", "-cp", JavaCommand.classPath(), Misuse.class.getName()));
        ChildJvm child = ChildJvm.run(Path.of(System.getProperty("java.home")), patience, command);

        assertThat(child.assertEndedWell().output()).contains(backend + ": ");
    }

    @ParameterizedTest
    @ValueSource(strings = {"jna", "jnr"})
    void misuseEndsInExceptionsAndZerosOnJava17(String backend) throws IOException {
        Javac.compile(Javac.source(Misuse.class), classPathOfJava17(), classes);
        List<String> arguments = new ArrayList<>(arguments(backend));
        arguments.addAll(
                List.of("-ea", "-cp", classPathOfJava17() + File.pathSeparator + classes, Misuse.class.getName()));
        ChildJvm child = ChildJvm.run(Jdk17.home(), patience, arguments);

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

    /** Returns the class path without these tests, whose class files need a newer Java. */
    private static String classPathOfJava17() {
        Path tests = CodeLocation.of(MisuseTest.class);
        return Arrays.stream(JavaCommand.classPath().split(File.pathSeparator, -1))
                .filter(entry -> !Path.of(entry).equals(tests))
                .collect(Collectors.joining(File.pathSeparator));
    }
}
