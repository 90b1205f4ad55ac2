// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.EnabledIfRoot;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.awaitility.core.ConditionFactory;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How {@code ksm estimate} ends if there is nothing to estimate, or nothing left, and the progress on a terminal. */
@Aside
@Tag("long")
class EstimateEndsTest {

    private static RunningJvm waiter() throws IOException {
        RunningJvm jvm = RunningJvm.start(Waiter.class);
        jvm.awaitLine("ready");
        return jvm;
    }

    private static String pid(RunningJvm jvm) {
        return Long.toString(jvm.pid());
    }

    @EnabledIfRoot
    @Test
    void aTerminalShowsTheProgressAndThenMessagesOnly(@TempDir Path directory) throws Exception {
        // Enough for the first update of the progress.
        List<String> heap = List.of("-Xms2g", "-Xmx2g", "-XX:+AlwaysPreTouch");
        try (RunningJvm jvm = RunningJvm.start(List.of(), heap, Waiter.class);
                Tmux tmux = Tmux.open(directory, 100, 24)) {
            jvm.awaitLine("ready");
            Pattern progress = Pattern.compile("(?m)^[0-9.]+ .iB of 4\\.\\d GiB, [0-9.]+ .iB/s$");

            tmux.type("./ksm estimate --stable 600 " + pid(jvm));
            tmux.awaitScreen(progress.asPredicate());
            tmux.press("C-c");
            assertThat(tmux.exitStatus()).isEqualTo(128 + 2);
            assertThat(tmux.screen()).doesNotContainPattern(progress);

            tmux.type("clear; ./ksm estimate --stable 1 " + pid(jvm));
            tmux.awaitScreen(progress.asPredicate());
            new ProcessBuilder("kill", "-KILL", pid(jvm)).start().waitFor();
            assertThat(tmux.awaitText("ksm: process " + pid(jvm) + " ended while it was read: "))
                    .as("nothing before it, and the progress is erased")
                    .startsWith("ksm: process ")
                    .doesNotContainPattern(progress);
            assertThat(tmux.exitStatus()).isEqualTo(1);
        }
    }

    /** Reads its input to the end. */
    static final class Waiter {

        private Waiter() {}

        public static void main(String[] arguments) throws IOException {
            System.out.println("ready");
            System.in.transferTo(OutputStream.nullOutputStream());
        }
    }

    private static void assertLeftOut(EndedProcess estimate, String message) {
        assertThat(estimate.exitStatus()).isEqualTo(1);
        assertThat(estimate.output()).isEmpty();
        assertThat(estimate.errors()).isEqualTo("ksm: " + message + "\n");
    }

    @EnabledIfRoot
    @Test
    void processesWithoutMemoryAreReportedInOneLineEach() throws Exception {
        Process ended = new ProcessBuilder("true").start();
        ended.waitFor();
        // The shell becomes a program that does not wait for its child.
        Process parent = new ProcessBuilder("sh", "-c", "sleep 100 & echo $!; exec sleep 100").start();
        try (RunningJvm jvm = waiter()) {
            String zombie = parent.inputReader(StandardCharsets.UTF_8).readLine();
            Path name = Path.of("/proc", Long.toString(parent.pid()), "comm");
            await().until(() -> Files.readString(name).equals("sleep\n"));
            new ProcessBuilder("kill", zombie).start().waitFor();
            await().until(() ->
                    Files.readString(Path.of("/proc", zombie, "status")).contains("\nState:\tZ"));
            String thread = threadOf(jvm);

            EndedProcess some = KsmProcess.run("estimate", "2", Long.toString(ended.pid()), zombie, pid(jvm), thread);

            assertThat(some.exitStatus()).isEqualTo(1);
            assertThat(some.errors().lines())
                    .containsExactly(
                            "ksm: 2 is a kernel thread: it has no memory of its own",
                            "ksm: there is no process " + ended.pid() + ": ps -e lists processes",
                            "ksm: process " + zombie + " is a zombie: it has no memory left",
                            "ksm: " + thread + " is a thread: specify its process, " + jvm.pid());
            assertThat(some.output())
                    .contains(" COST  NAME\n", " " + jvm.pid() + "  ", "  " + Waiter.class.getName() + "\n")
                    .containsPattern("\ncandidates  [0-9.]+ MiB that ksmd would scan\n")
                    .containsPattern("\nprofit      [^\n]+\nread        [0-9.]+ MiB in [0-9.]+ s, [0-9.]+ .iB/s\n$");
        } finally {
            parent.destroyForcibly();
        }
    }

    private static String threadOf(RunningJvm jvm) throws IOException {
        try (Stream<Path> threads = Files.list(Path.of("/proc", pid(jvm), "task"))) {
            return threads.map(thread -> thread.getFileName().toString())
                    .filter(thread -> !thread.equals(pid(jvm)))
                    .findAny()
                    .orElseThrow();
        }
    }

    @Test
    void itsOwnProcessIsRefused() {
        List<String> command = new ArrayList<>(List.of("sh", "-c", "exec \"$@\" estimate $$", "sh"));
        command.addAll(KsmProcess.command());

        EndedProcess own = EndedProcess.run(command);

        assertThat(own.exitStatus()).isEqualTo(1);
        assertThat(own.errors()).endsWith(" is this command: its memory changes while it reads\n");
    }

    @EnabledIfRoot
    @Test
    void withoutRightsNothingIsRead(@TempDir Path directory) throws IOException {
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
        String own = Long.toString(ProcessHandle.current().pid());

        assertLeftOut(
                EndedProcess.run(KsmProcess.commandOfNobody(directory, "estimate", own)),
                "no permission to read the memory of process " + own + ": run as root");
    }

    @EnabledIfRoot
    @Test
    void itStopsWhenTheProcessEndsAndWhenItIsInterrupted() throws Exception {
        try (RunningJvm jvm = waiter();
                RunningJvm other = waiter();
                RunningJvm estimate =
                        RunningJvm.start(KsmProcess.command("estimate", "--stable", "2", pid(jvm), pid(other)));
                RunningJvm interrupted =
                        RunningJvm.start(KsmProcess.command("estimate", "--stable", "600", pid(other)))) {
            ConditionFactory soon = await().pollDelay(Duration.ZERO).pollInterval(Duration.ofMillis(3));
            soon.until(() -> looks(estimate));
            soon.until(() -> !looks(estimate));
            new ProcessBuilder("kill", "-KILL", pid(jvm)).start().waitFor();
            estimate.awaitLine("ksm: process " + jvm.pid() + " ended while it was read: what was read is counted");
            assertThat(estimate.awaitExit()).isEqualTo(1);

            new ProcessBuilder("kill", "-INT", pid(interrupted)).start().waitFor();
            assertThat(interrupted.awaitExit()).isEqualTo(128 + 2);
            assertThat(interrupted.hasPrintedMore()).isFalse();
        }
    }

    /** Returns whether it has opened the files that it needs to read memory. */
    private static boolean looks(RunningJvm estimate) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(Path.of("/proc", pid(estimate), "fd"))) {
            for (Path file : files) {
                if (Files.isSymbolicLink(file) && Files.readSymbolicLink(file).endsWith("kpageflags")) {
                    return true;
                }
            }
        } catch (NoSuchFileException e) {
            // The descriptor was closed in between.
        }
        return false;
    }
}
