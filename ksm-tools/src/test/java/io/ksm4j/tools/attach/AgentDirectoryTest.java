// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.attach;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.ksm4j.tools.output.CommandFailedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AgentDirectoryTest {

    private static final long SELF = ProcessHandle.current().pid();

    @TempDir
    private Path temporary;

    private Properties properties(String before) {
        Properties properties = new Properties();
        properties.setProperty("java.io.tmpdir", temporary.toString());
        properties.setProperty(AgentDirectory.DIRECTORY_PROPERTY, before);
        return properties;
    }

    private static Path directory(AgentDirectory directory) {
        return Path.of(directory.jarAsSeenFromInside()).getParent();
    }

    @Test
    void containsJarAndAnswerAndIsDeletedOnClose() throws IOException {
        try (AgentDirectory directory = AgentDirectory.create(SELF, properties(""))) {
            assertThat(Path.of(directory.jarAsSeenFromInside())).isNotEmptyFile();
            assertThat(directory(directory)).hasParent(temporary);
            Files.writeString(
                    Path.of(directory.answerAsSeenFromInside()), "wasOptedIn=false\nisOptedIn=true\nbackend=jna");

            assertThat(directory.readAnswer())
                    .isEqualTo(Map.of("wasOptedIn", "false", "isOptedIn", "true", "backend", "jna"));
        }
        assertThat(temporary).isEmptyDirectory();
    }

    @Test
    void anEmptyAnswerIsAFailure() {
        try (AgentDirectory directory = AgentDirectory.create(SELF, properties(""))) {
            assertThatThrownBy(directory::readAnswer)
                    .isInstanceOf(CommandFailedException.class)
                    .hasMessageStartingWith("the agent did not answer: ");
        }
    }

    /** A missing value must not be taken as "opted out". */
    @ParameterizedTest
    @CsvSource({
        "isOptedIn=true, the JVM has an agent of another version",
        "mergeable=true, the JVM has an agent of another version",
        "'\\u12', the answer of the agent is invalid",
    })
    void rejectsAnUnknownAnswer(String answer, String message) throws IOException {
        try (AgentDirectory directory = AgentDirectory.create(SELF, properties(""))) {
            Files.writeString(Path.of(directory.answerAsSeenFromInside()), answer);

            assertThatThrownBy(directory::readAnswer)
                    .isInstanceOf(CommandFailedException.class)
                    .hasMessageStartingWith(message);
        }
    }

    @Test
    void reusesThePreviousPlaceUnlessItExists() {
        Path before;
        try (AgentDirectory directory = AgentDirectory.create(SELF, properties(""))) {
            before = directory(directory);
        }
        try (AgentDirectory directory = AgentDirectory.create(SELF, properties(before.toString()))) {
            assertThat(directory(directory)).isEqualTo(before);
            try (AgentDirectory other = AgentDirectory.create(SELF, properties(before.toString()))) {
                assertThat(directory(other)).isNotEqualTo(before).hasParent(temporary);
            }
        }
        assertThat(temporary).isEmptyDirectory();
    }

    /** Otherwise the owner of a JVM could make root create any directory anywhere. */
    @ParameterizedTest
    @ValueSource(
            strings = {"elsewhere/ksm-attach1", "elsewhere/chosen", "chosen", "ksm-attach", "../ksm-attach1", "\0", "/"
            })
    void ignoresOtherNamesThatTheJvmProposes(String before) throws IOException {
        Path elsewhere = Files.createDirectory(temporary.resolve("elsewhere"));
        for (String name : new String[] {before, temporary + "/" + before}) {
            try (AgentDirectory directory = AgentDirectory.create(SELF, properties(name))) {
                assertThat(directory(directory)).hasParent(temporary);
                assertThat(directory(directory).getFileName().toString()).matches("ksm-attach[0-9]{2,}");
                assertThat(elsewhere).isEmptyDirectory();
            }
        }
    }

    /** The path through /proc/PID ends with the process. */
    @Test
    void isDeletedEvenIfTheJvmHasEnded() throws Exception {
        Process jvm = new ProcessBuilder("sleep", "60").start();
        try (AgentDirectory directory = AgentDirectory.create(jvm.pid(), properties(""))) {
            assertThat(directory(directory)).isNotEmptyDirectory();
            jvm.destroyForcibly().waitFor();
        }
        assertThat(temporary).isEmptyDirectory();
    }

    @Test
    void anotherUsersJvmMayOnlyWriteTheAnswer() throws Exception {
        assumeThat(Files.getOwner(Path.of("/proc/self")).getName()).isEqualTo("root");
        Files.setPosixFilePermissions(temporary, PosixFilePermissions.fromString("rwxrwxrwx"));
        Process other =
                new ProcessBuilder("setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", "echo; read end").start();
        try {
            assertThat(other.getInputStream().read()).isEqualTo('\n');
            Path moved = temporary.resolve("moved");
            Path answer;
            try (AgentDirectory directory = AgentDirectory.create(other.pid(), properties(""))) {
                answer = Path.of(directory.answerAsSeenFromInside());
                assertThat((Integer) Files.getAttribute(answer, "unix:uid")).isEqualTo(65534);
                for (Path path : List.of(directory(directory), Path.of(directory.jarAsSeenFromInside()))) {
                    assertThat((Integer) Files.getAttribute(path, "unix:uid")).isZero();
                    assertThat(Files.getPosixFilePermissions(path))
                            .contains(PosixFilePermission.OTHERS_READ)
                            .doesNotContain(PosixFilePermission.GROUP_WRITE, PosixFilePermission.OTHERS_WRITE);
                }
                // The other user may own the parent directory and replace the directory in it.
                Files.move(directory(directory), moved);
                Files.createDirectory(directory(directory));
                Files.writeString(answer, "error=put there by someone else");
                assertThatThrownBy(directory::readAnswer).hasMessageStartingWith("the agent did not answer: ");
            }
            assertThat(answer).exists();
            assertThat(moved).isEmptyDirectory();
        } finally {
            other.destroyForcibly();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"/nonexistent", "/proc/self/status", "\0"})
    void rejectsAnInvalidTemporaryDirectory(String place) {
        Properties properties = new Properties();
        properties.setProperty("java.io.tmpdir", place);

        assertThatThrownBy(() -> AgentDirectory.create(SELF, properties))
                .isInstanceOf(CommandFailedException.class)
                .hasMessageStartingWith(
                        "cannot put the agent into " + place + ", the java.io.tmpdir of JVM " + SELF + ": ")
                .hasMessageEndingWith(": start it with another one, or with -javaagent:ksm-agent.jar");
    }
}
