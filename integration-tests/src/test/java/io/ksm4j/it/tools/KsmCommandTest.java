// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.testsupport.EndedProcess;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The common behaviour of all subcommands of {@code ksm}. */
@Aside
class KsmCommandTest {

    @ParameterizedTest
    @ValueSource(strings = {"", "nonsense", "status 0", "status \u001b[2J\u009b2J", "attach 0"})
    void badArgumentsAreReportedInOneLine(String arguments) {
        EndedProcess ksm = KsmProcess.run(arguments.isEmpty() ? new String[0] : arguments.split(" ", -1));

        assertThat(ksm.exitStatus()).isEqualTo(2);
        assertThat(ksm.output()).isEmpty();
        assertThat(ksm.errors())
                .startsWith("ksm: ")
                .endsWith(" --help\n")
                .hasLineCount(1)
                .doesNotContainPattern("[\\p{Cc}&&[^\n]]");
    }

    @Test
    void helpNamesEverySubcommand() {
        EndedProcess ksm = KsmProcess.run("--help");

        assertThat(ksm.exitStatus()).isZero();
        assertThat(ksm.output())
                .startsWith("Usage: ksm ")
                .containsSubsequence(Stream.of(
                                "doctor",
                                "status",
                                "estimate",
                                "place",
                                "top",
                                "watch",
                                "tune",
                                "run",
                                "attach",
                                "help")
                        .map(name -> "\n  " + name + " ")
                        .toList());
        assertThat(ksm.errors()).isEmpty();
    }

    @Test
    void helpShowsTheHelpOfACommand() {
        assertThat(KsmProcess.run("help", "status").output()).startsWith("Usage: ksm status ");
    }

    @ParameterizedTest
    @ValueSource(strings = {"--help", "doctor"})
    void aClosedPipeEndsTheCommandWithoutAMessage(String arguments) {
        // The JVM writes after its start, when the reader has exited.
        EndedProcess bash = inBash("{ \"$@\"; echo \"status $?\" >&2; } | true", arguments);

        assertThat(bash.errors()).isEqualTo("status 141\n");
    }

    @Test
    void aClosedNamedPipeEndsTheCommandWithoutAMessage(@TempDir Path directory) {
        Path pipe = directory.resolve("pipe");
        EndedProcess bash = inBash(
                "mkfifo " + pipe + "; { \"$@\" > " + pipe + "; echo \"status $?\" >&2; } & true < " + pipe + "; wait",
                "--help");

        assertThat(bash.errors()).isEqualTo("status 141\n");
    }

    @Test
    void aFullDiskIsReportedInOneLine() {
        EndedProcess bash = inBash("\"$@\" > /dev/full", "doctor", "--json");

        assertThat(bash.exitStatus()).isEqualTo(1);
        assertThat(bash.errors())
                .startsWith("ksm: cannot write to standard output: ")
                .hasLineCount(1);
    }

    private static EndedProcess inBash(String script, String... arguments) {
        List<String> command = new ArrayList<>(List.of("bash", "-c", script, "bash"));
        command.addAll(KsmProcess.command(arguments));
        return EndedProcess.run(command);
    }
}
