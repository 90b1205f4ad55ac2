// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.agent;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.EnabledIfKsmIsShown;
import io.ksm4j.it.fixtures.Jdk17;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.stats.ProcessKsmStatsMXBean;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code -javaagent:ksm-agent.jar} with programs that do not use ksm4j themselves. */
@EnabledIfKsm
class AgentTest {

    private static final long MIB = 1 << 20;

    @TempDir
    private static Path directory;

    private static AgentPrograms programs;

    @BeforeAll
    static void compile() throws IOException {
        programs = new AgentPrograms(directory);
    }

    static List<Path> jdks() throws IOException {
        return AgentPrograms.jdks();
    }

    private static String agent(String options) {
        return "-javaagent:" + AgentPrograms.AGENT + "=" + options;
    }

    @ParameterizedTest
    @MethodSource("jdks")
    void aProgramWithoutLibrariesIsOptedInAndVisibleThroughJmx(Path jdk) throws Exception {
        // Where native access must be enabled, the agent alone gets it.
        String strict = jdk.equals(Jdk17.home()) ? "-ea" : "--illegal-native-access=deny";
        try (RunningJvm jvm = RunningJvm.start(programs.plain(jdk, strict, agent("")))) {
            // No warning comes before this line.
            assertThat(jvm.awaitLineThatContains("")).isEqualTo("up");

            assertThat(ProcessKsmStats.read(jvm.pid()).mergeAny()).contains(true);
            try (JvmBeans beans = new JvmBeans(jvm.pid())) {
                await().until(() -> beans.isRegistered("io.ksm4j:type=MergeRegistry"));
                assertThat(beans.attribute(ProcessKsmStatsMXBean.OBJECT_NAME, "MergeAny"))
                        .isEqualTo(true);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("jdks")
    void aProgramKeepsItsOwnLibrariesAndItsMarks(Path jdk) throws Exception {
        try (RunningJvm jvm = RunningJvm.start(
                programs.ownLibraries(jdk, "-Dio.ksm4j.backend=jna", "-Djna.nosys=true", agent("backend=jna")))) {
            jvm.awaitLine("jna, JNA 5.13.0");
            jvm.proceed();
            jvm.awaitLine("mergeable true, marked true, regions 1");

            EndedProcess attach = KsmProcess.run("attach", "--off", Long.toString(jvm.pid()));

            assertThat(attach.exitStatus()).as(attach.errors()).isZero();
            jvm.proceed();
            jvm.awaitLine("mergeable false, marked true, regions 1");
        }
    }

    @ParameterizedTest
    @MethodSource("jdks")
    void onlyNativeMemoryIsMarkedUntilItIsUndone(Path jdk) throws Exception {
        long chunk = 8 * MIB + Ksm.system().pageSize();
        try (RunningJvm one = RunningJvm.start(programs.directBuffer(jdk, agent("merge=native,min=4m")));
                RunningJvm other = RunningJvm.start(programs.directBuffer(jdk, agent("merge=on")))) {
            one.awaitLine("up");
            other.awaitLine("up");

            EndedProcess estimate = KsmProcess.run(
                    "estimate", "--native", "--json", Long.toString(one.pid()), Long.toString(other.pid()));
            assertThat(estimate.output())
                    .as(estimate.errors())
                    .contains("\"candidateBytes\": " + 2 * chunk, "\"acrossBytes\": " + chunk);

            attach(one, "--native", "--min", "2m");
            attach(other, "--native");
            assertThat(markedBytes(one)).isEqualTo(chunk);
            assertThat(markedBytes(other)).isEqualTo(chunk);
            assertThat(ProcessKsmStats.read(other.pid()).mergeAny()).contains(false);

            attach(one, "--off");
            assertThat(markedBytes(one)).isZero();
            attach(other, "--on");
            assertThat(markedBytes(other)).isGreaterThan(chunk);
            assertThat(attach(other, "--off").output()).contains(" is now opted out\n");
            assertThat(markedBytes(other)).isZero();
            assertThat(one.finish()).isZero();
            assertThat(other.finish()).isZero();
        }
    }

    @Tag("long")
    @ParameterizedTest
    @MethodSource("jdks")
    void noMemoryOfAnyCollectorIsMarked(Path jdk) throws Exception {
        long chunk = 8 * MIB + Ksm.system().pageSize();
        String flags = EndedProcess.run(List.of(jdk.resolve("bin/java").toString(), "-XX:+PrintFlagsFinal", "-version"))
                .output();
        List<String> collectors = Stream.of("G1", "Parallel", "Serial", "Z", "Shenandoah")
                .filter(name -> flags.contains(" Use" + name + "GC "))
                .toList();
        assertThat(collectors).contains("G1", "Parallel", "Serial", "Z");
        // With such a heap, everything that a collector maps is larger than the minimum. What the JVM itself gets from
        // malloc, which cannot be told from the chunk of the program, is smaller.
        String min = "4m";
        for (String collector : collectors) {
            try (RunningJvm jvm = RunningJvm.start(programs.directBuffer(
                    jdk, "-Xmx4g", "-XX:+Use" + collector + "GC", agent("merge=native,min=" + min)))) {
                jvm.awaitLine("up");
                attach(jvm, "--native", "--min", min);

                assertThat(markedBytes(jvm)).as(collector).isEqualTo(chunk);
            }
        }
    }

    private static EndedProcess attach(RunningJvm jvm, String... options) {
        List<String> command = new ArrayList<>(List.of("attach"));
        command.addAll(List.of(options));
        command.add(Long.toString(jvm.pid()));
        EndedProcess attach = KsmProcess.run(command.toArray(String[]::new));
        assertThat(attach.exitStatus()).as(attach.errors()).isZero();
        return attach;
    }

    private static long markedBytes(RunningJvm jvm) throws IOException {
        long bytes = 0;
        long size = 0;
        for (String line : Files.readAllLines(Path.of("/proc/" + jvm.pid() + "/smaps"), StandardCharsets.ISO_8859_1)) {
            if (line.startsWith("Size:")) {
                size = Long.parseLong(line.replaceAll("\\D", "")) << 10;
            } else if (line.startsWith("VmFlags:") && line.contains(" mg ")) {
                bytes += size;
            }
        }
        return bytes;
    }

    @Test
    @EnabledIfKsm(control = true)
    void aHeapOfZerosMergesUntilItIsOptedOut(RunningKsmd ksmd, @TempDir Path reports) throws Exception {
        Path file = reports.resolve("every second");
        Path jdk = Path.of(System.getProperty("java.home"));
        String[] heap = {"-XX:+UseSerialGC", "-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch", agent("report=1,file=" + file)
        };
        try (RunningJvm jvm = RunningJvm.start(programs.plain(jdk, heap))) {
            jvm.awaitLine("up");
            await().atMost(PATIENCE)
                    .until(() -> ProcessKsmStats.read(jvm.pid()).mergedBytes().orElse(0) > 32 * MIB);
            await().until(() ->
                    Files.readString(file).matches("(?s).*Z ksm-agent: opted in; merged (3[2-9]|[456]\\d)\\..*"));

            EndedProcess attach = KsmProcess.run("attach", "--off", Long.toString(jvm.pid()));

            assertThat(attach.output()).startsWith(jvm.pid() + " Plain is now opted out\nmerged ");
            // The kernel counts a page until ksmd removes its record.
            await().until(() -> ProcessKsmStats.read(jvm.pid()).rmapItems().orElse(-1) == 0);
            assertThat(ProcessKsmStats.read(jvm.pid()).mergedBytes()).hasValue(0);
            assertThat(ksmd.read("run")).isOne();
            assertThat(jvm.finish()).isZero();
        }
    }

    @EnabledIfKsmIsShown
    @Test
    void aReportIsPrintedWhenTheProgramEnds() {
        assertThat(run(Path.of(System.getProperty("java.home")), "merge=off,report=exit")
                        .output())
                .matches("up\n\\S+Z ksm-agent: opted out; merged 0.0 MiB, .*; ksmd .*\n");
    }

    @EnabledIfKsmIsShown
    @Test
    void aSecurityManagerNeedsToGrantPermissionsToTheJarOnly(@TempDir Path temporary) throws IOException {
        Path policy = Files.writeString(
                temporary.resolve("policy"),
                "grant codeBase \"" + AgentPrograms.AGENT.toUri() + "\" { permission java.security.AllPermission; };");

        ChildJvm child = run(
                Jdk17.home(), "merge=off,report=exit", "-Djava.security.manager", "-Djava.security.policy==" + policy);

        assertThat(child.output())
                .matches("(WARNING: .*\n){2}up\n\\S+Z ksm-agent: opted out; merged 0.0 MiB, .*; ksmd .*\n");
    }

    @ParameterizedTest
    @ValueSource(strings = {"nonsense", "merge=on,merge=off", "report=1,file=/nonexistent/x"})
    void invalidOptionsAreReportedInOneLineAndTheProgramRunsWithoutTheAgent(String options) {
        ChildJvm child = run(Path.of(System.getProperty("java.home")), options);

        assertThat(child.exitStatus()).isZero();
        assertThat(child.output())
                .startsWith("ksm-agent: ")
                .endsWith(": the program runs without the agent\nup\n")
                .hasLineCount(2);
    }

    @Test
    void aProgramThatMustNotRunWithoutItDoesNotStart() throws IOException {
        for (Path jdk : jdks()) {
            ChildJvm child = run(jdk, "fail=true,merge=perhaps");

            assertThat(child.exitStatus()).isEqualTo(1);
            assertThat(child.output())
                    .startsWith("ksm-agent: option \"merge=perhaps\" is none of on, native, off, keep: ")
                    .hasLineCount(1);
        }
    }

    @Test
    void missingModulesAreNamed() {
        ChildJvm child = run(
                Path.of(System.getProperty("java.home")), "", "--limit-modules", "java.base,java.instrument,jdk.jfr");

        assertThat(child.output())
                .isEqualTo("ksm-agent: this program runs without modules of the JDK that the agent needs: start it with"
                        + " --add-modules java.logging,java.management: the program runs without the agent\nup\n");
    }

    private static ChildJvm run(Path jdk, String options, String... jvmArguments) {
        List<String> all = new ArrayList<>(List.of(jvmArguments));
        all.add(agent(options));
        List<String> command = new ArrayList<>(programs.plain(jdk, all.toArray(String[]::new)));
        command.add("end at once");
        return ChildJvm.run(jdk, command.subList(1, command.size()));
    }
}
