// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.sun.tools.attach.VirtualMachine;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.EnabledIfRoot;
import io.ksm4j.it.fixtures.Jdk17;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.stats.ProcessKsmStatsMXBean;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.RunningJvm;
import io.ksm4j.testsupport.TestLength;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** {@code ksm attach} to programs that do not use ksm4j themselves. */
@Aside
@EnabledIfKsm
class AttachCommandTest {

    private static final Path JDK = Path.of(System.getProperty("java.home"));

    private static final List<String> NOBODY = List.of("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups");

    @TempDir
    private static Path directory;

    private static AgentPrograms programs;

    @BeforeAll
    static void compile() throws IOException {
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
        programs = new AgentPrograms(directory);
    }

    /** In the gate, the oldest JDK only. */
    static List<Path> jdks() throws IOException {
        List<Path> all = AgentPrograms.jdks();
        return TestLength.isLong() ? all : all.subList(0, 1);
    }

    private static EndedProcess attach(RunningJvm jvm, String... options) {
        List<String> arguments = new ArrayList<>(List.of("attach", Long.toString(jvm.pid())));
        arguments.addAll(List.of(options));
        return KsmProcess.run(arguments.toArray(String[]::new));
    }

    @Tag("more")
    @ParameterizedTest
    @MethodSource("jdks")
    void aJvmCanBeOptedInAndOutRepeatedly(Path jdk, @TempDir Path temporary) throws Exception {
        try (RunningJvm jvm = RunningJvm.start(programs.plain(jdk, "-Djava.io.tmpdir=" + temporary))) {
            jvm.awaitLine("up");

            EndedProcess on = attach(jvm);
            assertThat(on.errors()).isEmpty();
            assertThat(on.exitStatus()).isZero();
            // Another test may run ksmd, which may have merged pages already.
            assertThat(on.output()).matches("(?s)" + jvm.pid() + " Plain is now opted in\nmerged [^,]+, cost .*");
            assertThat(ProcessKsmStats.read(jvm.pid()).mergeAny()).contains(true);
            assertThat(attach(jvm, "--status").output()).startsWith(jvm.pid() + " Plain is opted in\nmerged ");

            try (JvmBeans beans = new JvmBeans(jvm.pid())) {
                await().until(() -> beans.isRegistered("io.ksm4j:type=MergeRegistry"));
                assertThat(beans.attribute(ProcessKsmStatsMXBean.OBJECT_NAME, "MergeAny"))
                        .isEqualTo(true);
                VirtualMachine machine = VirtualMachine.attach(Long.toString(jvm.pid()));
                for (int i = 0; i < 20; i++) {
                    machine.loadAgent(AgentPrograms.AGENT.toString(), "merge=" + (i % 2 == 0 ? "off" : "on"));
                }
                machine.detach();
                assertThat(beans.moduleLoaders()).isOne();
            }

            String json = attach(jvm, "--off", "--json").output();
            assertThat(json)
                    .startsWith("{\"wasOptedIn\": true, \"isOptedIn\": false, \"nativeBytes\": null, \"backend\": \""
                            + (jdk.equals(Jdk17.home()) ? "jna" : "ffm") + "\", \"process\": {\"pid\": " + jvm.pid()
                            + ", \"name\": \"Plain\", \"mergeable\": false, \"mergeAny\": false, ")
                    .endsWith("}}\n");
            String page = Files.readString(Path.of("..", "docs", "command.md"));
            assertThat(Pattern.compile("\"(\\w+)\":").matcher(json).results())
                    .allSatisfy(name -> assertThat(page).contains("`" + name.group(1) + "`"));
            assertThat(ProcessKsmStats.read(jvm.pid()).mergeAny()).contains(false);
            try (Stream<Path> left = Files.list(temporary)) {
                assertThat(left.filter(file -> file.toString().contains("ksm"))).isEmpty();
            }
        }
    }

    @Test
    void aJvmThatEndsWhileAttachingIsReportedInOneLine(@TempDir Path temporary) throws Exception {
        try (RunningJvm jvm = RunningJvm.start(programs.ending(JDK, "-Djava.io.tmpdir=" + temporary))) {
            jvm.awaitLine("up");

            EndedProcess attach = attach(jvm);

            assertThat(attach.exitStatus()).isEqualTo(1);
            assertThat(attach.errors()).startsWith("ksm: ").hasLineCount(1);
            assertThat(jvm.awaitExit()).isEqualTo(1);
            assertThat(temporary).isEmptyDirectory();
        }
    }

    @ParameterizedTest
    @CsvSource({
        "-XX:-EnableDynamicAgentLoading,   does not accept the agent (",
        "-XX:+DisableAttachMechanism,      runs with -XX:+DisableAttachMechanism",
        "-Xrs,                             does not listen"
    })
    void aJvmThatRefusesAttachingIsReportedInOneLine(String option, String message) throws Exception {
        try (RunningJvm jvm = RunningJvm.start(programs.plain(JDK, option))) {
            jvm.awaitLine("up");

            EndedProcess attach = attach(jvm);

            assertThat(attach.exitStatus()).isEqualTo(1);
            assertThat(attach.errors())
                    .startsWith("ksm: JVM " + jvm.pid() + " " + message)
                    .contains("start it with -javaagent")
                    .hasLineCount(1);
            // It did not get a signal.
            assertThat(jvm.hasPrintedMore()).isFalse();
            assertThat(jvm.finish()).isZero();
        }
    }

    @Test
    void otherProgramsAreNotChanged() throws Exception {
        Process sleep = new ProcessBuilder("sleep", "60").start();
        try {
            EndedProcess attach = KsmProcess.run("attach", Long.toString(sleep.pid()));

            assertThat(attach.exitStatus()).isEqualTo(1);
            assertThat(attach.errors())
                    .startsWith("ksm: process " + sleep.pid() + " is not a JVM: ")
                    .hasLineCount(1);
            assertThat(sleep.isAlive()).isTrue();
        } finally {
            sleep.destroyForcibly();
        }
    }

    @EnabledIfRoot
    @Test
    void rootAttachesToJvmsOfOtherUsers() throws Exception {
        List<String> command = new ArrayList<>(NOBODY);
        command.addAll(programs.plain(JDK));
        try (RunningJvm jvm = RunningJvm.start(command)) {
            jvm.awaitLine("up");

            assertThat(attach(jvm).output()).startsWith(jvm.pid() + " Plain is now opted in\n");
        }
    }

    @EnabledIfRoot
    @Test
    void otherUsersAttachToTheirOwnJvmsOnly(@TempDir Path readable) throws Exception {
        Files.setPosixFilePermissions(readable, PosixFilePermissions.fromString("rwxr-xr-x"));
        try (RunningJvm jvm = RunningJvm.start(programs.plain(JDK))) {
            jvm.awaitLine("up");

            EndedProcess attach =
                    EndedProcess.run(KsmProcess.commandOfNobody(readable, "attach", Long.toString(jvm.pid())));

            assertThat(attach.exitStatus()).isEqualTo(1);
            assertThat(attach.errors())
                    .startsWith("ksm: no permission to read ")
                    .hasLineCount(1);
            assertThat(ProcessKsmStats.read(jvm.pid()).mergeAny()).contains(false);
        }
    }

    /** A container has its own processes and temporary files. */
    @EnabledIfRoot
    @Test
    void aJvmInAContainerGetsTheAgentInItsOwnFileSystem(@TempDir Path temporary) throws Exception {
        List<String> command = new ArrayList<>(List.of("unshare", "--mount", "--pid", "--fork", "sh", "-c"));
        command.add("mount -t tmpfs none " + temporary + " && mount -t proc proc /proc && java=$1 && shift"
                + " && exec $java -Dlatin1=$(printf '\\351') \"$@\"");
        command.add("sh");
        command.addAll(programs.plain(JDK, "-Djava.io.tmpdir=" + temporary));
        try (RunningJvm container = RunningJvm.start(command)) {
            container.awaitLine("up");
            ProcessHandle jvm = ProcessHandle.of(container.pid())
                    .orElseThrow()
                    .children()
                    .findFirst()
                    .orElseThrow();
            try {
                EndedProcess attach = KsmProcess.run("attach", Long.toString(jvm.pid()));

                assertThat(attach.errors()).isEmpty();
                assertThat(attach.output()).startsWith(jvm.pid() + " Plain is now opted in\n");
                assertThat(ProcessKsmStats.read(jvm.pid()).mergeAny()).contains(true);
                // If it were killed, the next process with its PID would find its socket.
                assertThat(container.finish()).isZero();
            } finally {
                jvm.destroyForcibly();
            }
        }
    }

    @EnabledIfRoot
    @ParameterizedTest
    @CsvSource({
        "/tmp,    ' cannot be attached to, because its /tmp is read-only, where it would listen: '",
        "TMPDIR,  ', the java.io.tmpdir of JVM '"
    })
    void aJvmWhoseTemporaryFilesAreReadOnly(String place, String message, @TempDir Path temporary) throws Exception {
        String directory = place.equals("TMPDIR") ? temporary.toString() : place;
        List<String> command = new ArrayList<>(List.of("unshare", "--mount", "sh", "-c"));
        command.add("mount --rbind " + directory + " " + directory + " && mount -o remount,ro,bind " + directory
                + " && exec \"$@\"");
        command.add("sh");
        command.addAll(programs.plain(JDK, "-Djava.io.tmpdir=" + temporary));
        try (RunningJvm jvm = RunningJvm.start(command)) {
            jvm.awaitLine("up");

            EndedProcess attach = attach(jvm);

            assertThat(attach.exitStatus()).isEqualTo(1);
            assertThat(attach.errors())
                    .startsWith("ksm: ")
                    .contains(message, "-javaagent:ksm-agent.jar")
                    .doesNotContain("Exception")
                    .hasLineCount(1);
            // It did not get a signal, or the agent is not loaded.
            assertThat(jvm.finish()).isZero();
        }
    }

    @Test
    void aJvmInAnotherUserNamespaceIsNotChanged() throws Exception {
        List<String> command = new ArrayList<>(List.of("unshare", "--user", "--map-root-user"));
        command.addAll(programs.plain(JDK));
        try (RunningJvm jvm = RunningJvm.start(command)) {
            jvm.awaitLine("up");

            EndedProcess attach = attach(jvm);

            assertThat(attach.exitStatus()).isEqualTo(1);
            assertThat(attach.errors()).contains(": run ksm in that container").hasLineCount(1);
            assertThat(jvm.hasPrintedMore()).isFalse();
        }
    }
}
