// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.testsupport.EndedProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code ksm run}, whose process becomes another program. */
@Aside
@EnabledIfKsm
class RunCommandTest {

    @Test
    void theProgramAndWhatItStartsAreOptedIn() throws IOException {
        String script = "cat /proc/$$/ksm_stat /proc/self/ksm_stat; exit 7";
        String[] arguments = {"run", "--", "sh", "-c", script};
        for (List<String> command : List.of(KsmProcess.command(arguments), KsmProcess.commandOnJdk17(arguments))) {
            EndedProcess program = EndedProcess.run(command);

            assertThat(program.exitStatus()).as(program.errors()).isEqualTo(7);
            assertThat(program.output().lines().filter("ksm_merge_any: yes"::equals))
                    .hasSize(2);
            assertThat(program.errors()).isEmpty();
        }
        EndedProcess without = EndedProcess.run(List.of("sh", "-c", script));
        assertThat(without.output()).contains("ksm_merge_any: no\n").doesNotContain("ksm_merge_any: yes");
    }

    @Test
    void argumentsEnvironmentAndFilesArePassedOnUnchanged() {
        List<String> command = new ArrayList<>(List.of(
                "bash",
                "-c",
                "LC_ALL=C VARIABLE=$'\\351' \"$@\" $'\\351\\xff' @file --json -- '' 3</dev/zero",
                "bash"));
        String script = "printf '%s|' \"$VARIABLE\" \"$@\" | od -An -tx1; ls /proc/$$/fd; readlink /proc/$$/fd/3";
        command.addAll(KsmProcess.command("run", "sh", "-c", script, "sh"));

        EndedProcess program = EndedProcess.run(command);

        assertThat(program.exitStatus()).as(program.errors()).isZero();
        assertThat(program.output()).isEqualTo("""
                 e9 7c e9 ff 7c 40 66 69 6c 65 7c 2d 2d 6a 73 6f
                 6e 7c 2d 2d 7c 7c
                0
                1
                2
                3
                /dev/zero
                """);
    }

    @ParameterizedTest
    @CsvSource({"TERM, 143", "QUIT, 131", "PIPE, 141"})
    void signalsReachTheProgram(String signal, int status) {
        assertThat(KsmProcess.run("run", "sh", "-c", "kill -" + signal + " $$").exitStatus())
                .isEqualTo(status);
    }

    /** No shell is involved, since a shell does not pass on blocked signals. */
    @Test
    void signalsStayBlocked() {
        List<String> blocking = List.of("env", "--block-signal=USR1");
        String plain = EndedProcess.run(List.of("env", "--block-signal=USR1", "cat", "/proc/self/status"))
                .output();

        EndedProcess program = KsmProcess.run(blocking, "run", "cat", "/proc/self/status");

        assertThat(plain).contains("SigBlk:\t0000000000000200\n");
        assertThat(program.output()).as(program.errors()).contains("SigBlk:\t0000000000000200\n");
    }

    @Test
    void noPerformanceCountersOfTheJvmStayBehind() {
        Path directory = Path.of("/tmp", "hsperfdata_" + System.getProperty("user.name"));

        EndedProcess program = KsmProcess.run("run", "sh", "-c", "echo $$; ls " + directory);

        List<String> lines = program.output().lines().toList();
        assertThat(lines.subList(1, lines.size())).doesNotContain(lines.get(0));
    }

    /** For example a jar that the JVM has not opened, and a closed standard stream. */
    @Test
    void onlyTheFilesOfTheJvmAreClosed(@TempDir Path directory) throws IOException {
        Path jar = Files.createFile(directory.resolve("data.jar"));
        List<String> command = new ArrayList<>(List.of("sh", "-c", "exec \"$@\" 3<" + jar + " <&-", "sh"));
        command.addAll(KsmProcess.command("run", "sh", "-c", "ls /proc/$$/fd; readlink /proc/$$/fd/3"));

        EndedProcess program = EndedProcess.run(command);

        assertThat(program.output()).as(program.errors()).isEqualTo("1\n2\n3\n" + jar + "\n");
    }

    @Test
    void theProgramHasTheTerminal(@TempDir Path directory) throws IOException {
        try (Tmux tmux = Tmux.open(directory, 90, 24)) {
            tmux.type("./ksm run sh -c 'stty size; read line; echo \"has read $line\"; exec sleep 100'");
            tmux.awaitText("\n24 90\n");
            tmux.type("a line");
            tmux.awaitText("\nhas read a line\n");

            tmux.press("C-z");
            tmux.awaitText("Stopped");
            tmux.type("fg");
            await().until(() -> Files.readString(Path.of("/proc/" + tmux.foreground() + "/comm"))
                    .equals("sleep\n"));
            tmux.press("C-c");

            assertThat(tmux.exitStatus()).isEqualTo(128 + 2);
        }
    }

    @Test
    void anOldKernelGetsAWarning() {
        List<String> command = new ArrayList<>(KsmProcess.command("run", "sh", "-c", "exit 3"));
        command.add(1, "-Dos.version=6.5.0-41-generic");

        EndedProcess program = EndedProcess.run(command);

        assertThat(program.exitStatus()).isEqualTo(3);
        assertThat(program.errors())
                .startsWith("ksm: this is Linux 6.5.0-41-generic: before 6.10 ")
                .hasLineCount(1);
    }

    @Test
    void aProgramThatCannotRunIsReportedInOneLine(@TempDir Path directory) throws IOException {
        // The program might be in a directory without search permission.
        EndedProcess missing = KsmProcess.run(List.of("env", "PATH=/usr/bin:/bin"), "run", "ksm4j-no-such-program");
        assertThat(missing.exitStatus()).isEqualTo(127);
        assertThat(missing.errors()).isEqualTo("ksm: there is no program ksm4j-no-such-program\n");

        Path script = Files.writeString(directory.resolve("script"), "echo \"$@\"\n");
        EndedProcess refused = KsmProcess.run("run", script.toString());
        assertThat(refused.exitStatus()).isEqualTo(126);
        assertThat(refused.errors()).isEqualTo("ksm: no permission to run " + script + "\n");

        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
        EndedProcess run = KsmProcess.run("run", script.toString(), "one", "two");
        assertThat(run.exitStatus()).as(run.errors()).isZero();
        assertThat(run.output()).isEqualTo("one two\n");
    }
}
