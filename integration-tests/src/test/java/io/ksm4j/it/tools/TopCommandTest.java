// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.RunningJvm;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code ksm top} on a terminal and without one. */
@EnabledIfKsm
class TopCommandTest {

    @TempDir
    private Path directory = Path.of("");

    @Test
    @EnabledIfKsm(control = true)
    void processesAndAHistoryAreShownUntilQ(RunningKsmd ksmd) throws Exception {
        KsmSettings before = KsmDaemon.system().settings();
        try (RunningJvm jvm = RunningJvm.start(StatusCommandTest.Sharer.class);
                Tmux tmux = Tmux.open(directory, 100, 30)) {
            jvm.awaitLine("ready");
            tmux.type("stty -g > before; ./ksm top --interval 0.2");

            String first = tmux.awaitText(StatusCommandTest.Sharer.class.getName());

            assertThat(first)
                    .contains("every 0.2 s   q quits\nsaved ", "ksmd runs, 1000000 pages every 0 ms")
                    .containsPattern("(?m)^ +PID +MERGED +COST +PROFIT  NAME$")
                    .containsPattern("(?m)^ +" + jvm.pid() + " +4\\.0 MiB +64\\.0 KiB +3\\.9 MiB  ")
                    .doesNotContain("ksm top");
            tmux.awaitScreen(screen -> bars(screen, "saved") > bars(first, "saved") + 2);
            assertThat(tmux.awaitScreen(screen -> bars(screen, "ksmd ") > 2)).containsPattern("ksmd [0-9.]+ % CPU");
            assertThat(tmux.screenWithEscapes()).contains("\u001b[32m", "\u001b[33m");

            tmux.resize(40, 12);
            assertThat(tmux.awaitScreen(screen -> screen.matches("(?s).*\n {5}PID     PROFIT  NAME\n.*")))
                    .startsWith("saved ")
                    .containsPattern("\n +" + jvm.pid() + "    3\\.9 MiB  io\\.ksm4j\\.it")
                    .contains("\nksmd  ")
                    .hasLineCount(12);

            tmux.resize(100, 30);
            tmux.awaitText("MERGED");
            tmux.press("q");

            assertThat(tmux.exitStatus()).isZero();
            tmux.type("stty -g | cmp - before && echo \"is as [$?]\"");
            assertThat(tmux.awaitText("is as [0]")).contains("./ksm top").doesNotContain("PROFIT");
            assertThat(KsmDaemon.system().settings()).isEqualTo(before);
        }
    }

    /** Returns the number of samples in the line that starts with this text. */
    private static long bars(String screen, String name) {
        return screen.lines()
                .filter(line -> line.startsWith(name))
                .flatMapToInt(String::chars)
                .filter(c -> c >= '▁' && c <= '█')
                .count();
    }

    @Test
    @EnabledIfKsm(control = true)
    void jsonHasALineForEachSample(RunningKsmd ksmd) throws Exception {
        try (RunningJvm jvm = RunningJvm.start(StatusCommandTest.Sharer.class)) {
            jvm.awaitLine("ready");
            await().atMost(PATIENCE).until(() -> ksmd.read("pages_sharing") > 0);

            EndedProcess top = KsmProcess.run("top", "--json", "-n", "2", "--interval", "0.3");

            assertThat(top.exitStatus()).as(top.errors()).isZero();
            String[] lines = top.output().split("\n", -1);
            assertThat(lines).hasSize(3);
            assertThat(lines[0])
                    .containsPattern("^\\{\"time\": \"\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d+Z\", "
                            + "\"ksmdCpuPercent\": null, \"pagesScannedPerSecond\": null, "
                            + "\"machine\": \\{\"pageSize\": ");
            assertThat(lines[1])
                    .containsPattern("^\\{\"time\": \".+\", \"ksmdCpuPercent\": [1-9][0-9.]+, "
                            + "\"pagesScannedPerSecond\": [1-9][0-9.E]+, \"machine\": \\{\"pageSize\": ")
                    .contains("\"processes\": [{\"pid\": ", "\"name\": \"" + StatusCommandTest.Sharer.class.getName())
                    .endsWith("], \"hiddenProcesses\": 0}");
            assertThat(lines[2]).isEmpty();
        }
    }
}
