// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.RunningJvm;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code ksm watch} on a terminal and without one. */
@EnabledIfKsm
class WatchCommandTest {

    @TempDir
    private Path directory = Path.of("");

    @Test
    @EnabledIfKsm(control = true)
    void thePlotFitsTheScreenAndIsWrittenOnCtrlC(RunningKsmd ksmd) throws Exception {
        try (RunningJvm jvm = RunningJvm.start(StatusCommandTest.Sharer.class);
                Tmux tmux = Tmux.open(directory, 80, 24)) {
            jvm.awaitLine("ready");
            tmux.type("./ksm watch " + jvm.pid() + " --interval 0.2 --svg plot.svg");

            String title = jvm.pid() + " " + StatusCommandTest.Sharer.class.getName() + "   every 0.2 s   q quits\n";
            assertThat(tmux.awaitText("\nmerged, up to 4.0 MiB\n"))
                    .startsWith(title + "merged 4.0 MiB   cost 64.0 KiB   profit 3.9 MiB   ksmd ")
                    .containsPattern("\n0 s +16 s\n$");
            tmux.awaitScreen(screen -> screen.split("█", -1).length > 20);

            tmux.resize(40, 12);
            assertThat(tmux.awaitScreen(screen -> screen.matches("(?s).*\n0 s +(8 s|[8-9]\\.\\d s|\\d\\d.*s)\n")))
                    .containsPattern("\nCPU of ksmd, up to [0-9.]+ %\n")
                    .hasLineCount(12);

            tmux.resize(200, 50);
            assertThat(tmux.awaitScreen(screen -> screen.matches("(?s).*\n0 s +40 s\n")))
                    .startsWith(title)
                    .hasLineCount(50);

            tmux.resize(20, 3);
            tmux.awaitScreen(screen -> screen.lines().count() == 3 && screen.startsWith(Long.toString(jvm.pid())));

            tmux.resize(80, 24);
            tmux.awaitScreen(screen -> screen.startsWith(title));
            tmux.press("C-c");

            assertThat(tmux.exitStatus()).isEqualTo(128 + 2);
            assertThat(Files.readString(directory.resolve("plot.svg")))
                    .startsWith("<svg ")
                    .contains("What merging does for " + jvm.pid(), ">merged, MiB<", ">CPU of ksmd, % of a processor<")
                    .containsPattern("<path class=\"c0\" d=\"M[0-9.]+ [0-9.]+L")
                    .endsWith("</svg>\n");
        }
    }
}
