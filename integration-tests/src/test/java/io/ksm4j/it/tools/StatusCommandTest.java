// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.it.fixtures.EnabledIfKsmIsShown;
import io.ksm4j.it.fixtures.EnabledIfRoot;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.JavaCommand;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code ksm status} with a JVM that has merged pages. */
@EnabledIfKsmIsShown
class StatusCommandTest {

    private static final int PAGES = 1024;

    /** Four mebibytes of equal pages. */
    static final class Sharer {

        private Sharer() {}

        public static void main(String[] arguments) throws IOException {
            Ksm ksm = Ksm.system();
            try (MergeRegion region = ksm.allocate(PAGES * ksm.pageSize())) {
                PageContents.unique(ksm.pageSize()).fill(region.buffer(), page -> 0);
                System.out.println("ready");
                while (System.in.read() >= 0) {
                    // until the end
                }
            }
        }
    }

    @Test
    @EnabledIfKsm(control = true)
    void aJvmIsShownByItsMainClassWithWhatItSavesAndCosts(RunningKsmd ksmd) throws Exception {
        try (RunningJvm jvm = RunningJvm.start(Sharer.class)) {
            jvm.awaitLine("ready");
            await().atMost(PATIENCE)
                    .until(() -> ProcessKsmStats.read(jvm.pid()).mergingPages().orElse(0) == PAGES);

            EndedProcess status = KsmProcess.run("status");
            EndedProcess one = KsmProcess.run("status", Long.toString(jvm.pid()));
            EndedProcess json = KsmProcess.run("status", "--json", Long.toString(jvm.pid()));

            String line = " " + jvm.pid() + "     4.0 MiB    64.0 KiB     3.9 MiB  " + Sharer.class.getName() + "\n";
            assertThat(status.exitStatus()).as(status.errors()).isZero();
            assertThat(status.output())
                    .startsWith("ksmd      runs, 1000000 pages every 0 ms\nsaved     ")
                    .containsOnlyOnce(line);
            assertThat(one.output())
                    .contains("  NAME\n"
                            + " ".repeat(10 - Long.toString(jvm.pid()).length() - 1) + line);
            assertThat(json.output())
                    .startsWith("{\"machine\": {\"pageSize\": 4096, \"run\": 1, \"pagesToScan\": 1000000, ")
                    .contains("\"processes\": [{\"pid\": " + jvm.pid() + ", \"name\": \"" + Sharer.class.getName()
                            + "\", \"mergeable\": true, \"mergeAny\": false, \"mergingPages\": 1024, ")
                    .contains("\"mergedBytes\": 4194304, \"costBytes\": 65536, \"profitBytes\": 4128768, "
                            + "\"stale\": false}], \"hiddenProcesses\": 0, \"malloc\": {\"arenaBytes\": ");
        }
    }

    @Test
    @EnabledIfKsm
    void everyNameInItsJsonIsDocumented() throws IOException {
        String pid = Long.toString(ProcessHandle.current().pid());
        String json = KsmProcess.run("status", "--json").output()
                + KsmProcess.run("status", "--json", pid).output()
                + KsmProcess.run("top", "--json", "--once").output()
                + KsmProcess.run("doctor", "--json").output();
        List<String> names = Pattern.compile("\"(\\w+)\": ")
                .matcher(json)
                .results()
                .map(result -> result.group(1))
                .distinct()
                .toList();
        assertThat(names).contains("canMerge", "savedBytes", "mergeAny", "hiddenProcesses", "ksmdCpuPercent");

        String page = Files.readString(Path.of("..", "docs", "command.md"));
        assertThat(names).allSatisfy(name -> assertThat(page).contains("`" + name + "`"));
    }

    @Test
    @EnabledIfKsm
    void aProcessThatHasEndedIsReportedInOneLine() throws Exception {
        Process ended = new ProcessBuilder("true").start();
        ended.waitFor();

        EndedProcess status = KsmProcess.run("status", Long.toString(ended.pid()));

        assertThat(status.exitStatus()).isEqualTo(1);
        assertThat(status.output()).isEmpty();
        assertThat(status.errors()).isEqualTo("ksm: there is no process " + ended.pid() + "\n");
    }

    @Test
    @EnabledIfKsm
    void numbersHaveTheSameDigitsInEveryLocale() {
        String pid = Long.toString(ProcessHandle.current().pid());
        List<String> command = new ArrayList<>(KsmProcess.command("status", pid));
        command.addAll(1, List.of("-Duser.language=ar", "-Duser.country=EG"));

        assertThat(EndedProcess.run(command).output()).containsPattern("\n +" + pid + " ");
    }

    /** Runs in its own PID namespace: before Linux 5.8, the option applies to all mounts of a namespace. */
    @EnabledIfRoot
    @ParameterizedTest
    @CsvSource({
        "1, '1 processes of other users could not be read: run as root.', 1",
        "2, 'hidepid hides processes of other users: run as root to see them.', null"
    })
    @EnabledIfKsm
    void processesHiddenByProcAreReported(String hidepid, String message, String count, @TempDir Path directory)
            throws IOException {
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
        String script = "mount -t proc -o hidepid=" + hidepid + " proc /proc && { sleep 600 & } && exec \"$@\"";
        List<String> status =
                new ArrayList<>(List.of("unshare", "--mount", "--pid", "--fork", "sh", "-c", script, "sh"));
        status.addAll(KsmProcess.commandOfNobody(directory, "status"));
        List<String> json = new ArrayList<>(status);
        json.add("--json");

        EndedProcess text = EndedProcess.run(status);

        assertThat(text.exitStatus()).as(text.errors()).isZero();
        assertThat(text.output()).endsWith("\n" + message + "\n");
        assertThat(EndedProcess.run(json).output()).endsWith("\"hiddenProcesses\": " + count + "}\n");
    }

    @Tag("long")
    @Test
    @EnabledIfKsm
    void aProcessWhoseFirstThreadHasEndedStillRuns() throws Exception {
        List<String> command = List.of(
                ProcessHandle.current().info().command().orElseThrow(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                JavaCommand.classPath(),
                FirstThreadEnds.class.getName());
        try (RunningJvm jvm = RunningJvm.start(command)) {
            jvm.awaitLine("ended");
            String pid = Long.toString(jvm.pid());

            assertThat(KsmProcess.run("status", pid).output())
                    .containsPattern("  " + Pattern.quote(FirstThreadEnds.class.getName())
                            + " \\(opted in as a whole\\)\n\nmalloc +\\S+ \\S+ in arenas");
            assertThat(KsmProcess.run("watch", "-n", "1", pid).exitStatus()).isZero();
            assertThat(KsmProcess.run("attach", pid).errors())
                    .startsWith("ksm: JVM " + pid + " cannot be attached to, because its first thread has ended");
            assertThat(jvm.finish()).isZero();
        }
    }

    @EnabledIfRoot
    @Test
    @EnabledIfKsm
    void withoutRightsTheMachineIsShownAndProcessesOfOthersAreCounted(@TempDir Path directory) throws IOException {
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));

        EndedProcess all = EndedProcess.run(KsmProcess.commandOfNobody(directory, "status"));
        assertThat(all.exitStatus()).as(all.errors()).isZero();
        assertThat(all.output())
                .contains("\nsaved     ")
                .containsPattern("\n\\d+ processes of other users could not be read: run as root\\.\n$");

        EndedProcess one = EndedProcess.run(KsmProcess.commandOfNobody(
                Files.createDirectory(directory.resolve("again")),
                "status",
                Long.toString(ProcessHandle.current().pid())));
        assertThat(one.exitStatus()).isEqualTo(1);
        assertThat(one.errors()).startsWith("ksm: no permission to read /proc/").hasLineCount(1);
    }
}
