// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.EnabledIfKsmIsShown;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.testsupport.EndedProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code ksm top} and {@code ksm watch}, whether ksmd runs or not. */
@Aside
@EnabledIfKsm
@EnabledIfKsmIsShown
class TopAndWatchTest {

    @TempDir
    private Path directory;

    @Test
    void theShellHasTheTerminalWhileItIsStoppedAndAfterASignal() throws IOException {
        try (Tmux tmux = Tmux.open(directory, 80, 24)) {
            tmux.type("stty -g > before; ./ksm top --interval 0.2");
            tmux.awaitText("PROFIT");

            tmux.press("C-z");

            tmux.awaitText("Stopped");
            tmux.type("stty -g | cmp - before && echo \"is as [$?]\"");
            assertThat(tmux.awaitText("is as [0]")).doesNotContain("PROFIT");
            tmux.type("fg");
            tmux.awaitText("PROFIT");

            assertThat(ProcessHandle.of(tmux.foreground()).orElseThrow().destroy())
                    .isTrue();

            assertThat(tmux.exitStatus()).isEqualTo(128 + 15);
            tmux.type("clear; stty -g | cmp - before && echo \"is as [$?]\"");
            tmux.awaitText("is as [0]");
        }
    }

    /** The terminal's signals reach all foreground processes, including those that the command has started. */
    @Test
    void theCommandCanBeStoppedWhileItQueriesTheTerminal() throws IOException {
        Path asked = directory.resolve("asked");
        Path held = directory.resolve("held");
        Path stty = Files.createDirectory(directory.resolve("bin")).resolve("stty");
        Files.writeString(
                stty,
                "#!/bin/sh\n[ ! -e " + held + " ] || touch " + asked + "\nwhile [ -e " + held
                        + " ]; do sleep 0.05; done\nexec /usr/bin/stty \"$@\"\n");
        Files.setPosixFilePermissions(stty, PosixFilePermissions.fromString("rwxr-xr-x"));
        try (Tmux tmux = Tmux.open(directory, 80, 24)) {
            tmux.type("PATH=$PWD/bin:$PATH ./ksm top --interval 0.2");
            tmux.awaitText("PROFIT");
            Files.createFile(held);
            tmux.resize(70, 20);
            await().atMost(PATIENCE).until(() -> Files.exists(asked));

            tmux.press("C-z");
            Files.delete(held);

            tmux.awaitText("Stopped");
            tmux.type("fg");
            tmux.awaitText("PROFIT");
            tmux.press("q");
            assertThat(tmux.exitStatus()).isZero();
        }
    }

    @Test
    void aDumbTerminalGetsText() throws IOException {
        try (Tmux tmux = Tmux.open(directory, 80, 24)) {
            tmux.type("TERM=dumb ./ksm top --interval 0.2");

            assertThat(tmux.awaitScreen(screen -> screen.split("NAME\n", -1).length > 2))
                    .containsPattern("(?m)^\\d\\d:\\d\\d:\\d\\d  saved ")
                    .doesNotContain("q quits");
            tmux.press("C-c");

            assertThat(tmux.exitStatus()).isEqualTo(128 + 2);
        }
    }

    @Tag("long")
    @Test
    void aTerminalWithoutAnAlternateScreenIsCleared() throws IOException {
        try (Tmux tmux = Tmux.open(directory, 80, 24)) {
            tmux.type("TERM=vt100 ./ksm top --interval 0.2");
            tmux.awaitText("q quits");

            tmux.press("q");

            assertThat(tmux.exitStatus()).isZero();
            assertThat(tmux.screen()).startsWith("$ ").doesNotContain("q quits", "PROFIT");
        }
    }

    @Test
    void aClosedPipeEndsTheCommandWithoutAMessage() {
        List<String> command =
                new ArrayList<>(List.of("bash", "-c", "{ \"$@\"; echo \"status $?\" >&2; } | head -n 1", "bash"));
        command.addAll(KsmProcess.command("top", "--interval", "0.1"));

        EndedProcess bash = EndedProcess.run(command);

        assertThat(bash.output()).containsPattern("^\\d\\d:\\d\\d:\\d\\d  saved .*\n$");
        assertThat(bash.errors()).isEqualTo("status 141\n");
    }

    @Test
    void theCommandEndsWithTheProcess() throws Exception {
        Process sleep = new ProcessBuilder("sleep", "60").start();
        try (Tmux tmux = Tmux.open(directory, 80, 24)) {
            tmux.type("./ksm watch " + sleep.pid() + " --interval 0.2");
            tmux.awaitText("\nmerged, up to 0 B\n");

            sleep.destroy();

            tmux.awaitText("\nksm: process " + sleep.pid() + " sleep has ended\n");
            assertThat(tmux.exitStatus()).isZero();
        } finally {
            sleep.destroy();
        }
    }

    @Tag("long")
    @Test
    void withoutUnicodeAndColoursTheOutputHasNeither() throws IOException {
        try (Tmux tmux = Tmux.open(directory, 80, 24)) {
            tmux.type("LC_ALL=C NO_COLOR=1 ./ksm watch --all --interval 0.2");

            String screen =
                    tmux.awaitScreen(seen -> seen.matches("(?s)this machine.*\nCPU of ksmd.*\n *[_.:=+*#-]{3,}\n.*"));

            assertThat(screen).matches("[\n -~]+");
            assertThat(tmux.screenWithEscapes()).doesNotContainPattern("\u001b\\[[34]\\d");
            tmux.press("q");
            assertThat(tmux.exitStatus()).isZero();
        }
    }

    @Test
    void withoutATerminalALineForEachSampleAndThePlotAreWritten() throws IOException {
        Path plot = directory.resolve("plot.svg");

        EndedProcess watch = KsmProcess.run("watch", "--all", "-n", "3", "--interval", "0.1", "--svg", plot.toString());

        assertThat(watch.exitStatus()).as(watch.errors()).isZero();
        assertThat(watch.output())
                .startsWith("TIME           SAVED        COST      PROFIT     KSMD\n")
                .containsPattern("\n\\d\\d:\\d\\d:\\d\\d .* +[0-9.]+ %\n$")
                .hasLineCount(4);
        assertThat(plot).content().contains("What merging does for this machine");
    }

    @Test
    void aMissingProcessIsReportedInOneLine() throws Exception {
        Process ended = new ProcessBuilder("true").start();
        ended.waitFor();

        EndedProcess watch = KsmProcess.run("watch", Long.toString(ended.pid()));

        assertThat(watch.exitStatus()).isEqualTo(1);
        assertThat(watch.output()).isEmpty();
        assertThat(watch.errors()).isEqualTo("ksm: there is no process " + ended.pid() + "\n");
    }
}
