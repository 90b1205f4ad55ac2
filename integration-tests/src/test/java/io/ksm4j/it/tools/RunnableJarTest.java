// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.Jdk17;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.Needed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The runnable jar of {@code ksm}, started by its launcher. Maven's {@code package} builds it. */
@Aside
@EnabledIfKsm
class RunnableJarTest {

    private static final Path MODULE =
            Path.of("..", "ksm-tools").toAbsolutePath().normalize();

    private static final String LAUNCHER = MODULE.resolve("src/main/dist/ksm").toString();

    private static final Path JDK = Path.of(System.getProperty("java.home"));

    private static Path jar = MODULE;

    @BeforeAll
    static void theJarIsBuilt() throws IOException {
        try (Stream<Path> files = Files.list(MODULE.resolve("target"))) {
            List<Path> jars = files.filter(file -> file.toString().endsWith("-runnable.jar"))
                    .toList();
            Needed.require(
                    jars.size() == 1, "needs one runnable jar in " + MODULE + "/target: ./mvnw package builds it");
            jar = jars.get(0);
        }
    }

    private static List<String> launcher(Path jdk, String... arguments) {
        List<String> command = new ArrayList<>(List.of("env", "JAVA_HOME=" + jdk, "KSM_JAR=" + jar, LAUNCHER));
        command.addAll(List.of(arguments));
        return command;
    }

    @Test
    void theJarHasABackendForEveryJdk() throws IOException {
        EndedProcess onThisJdk = EndedProcess.run(launcher(JDK, "doctor"));
        assertThat(onThisJdk.output())
                .containsPattern("\nok +java .*native access is enabled")
                .containsPattern("\nok +backend +ffm\n");
        assertThat(onThisJdk.errors()).isEmpty();

        EndedProcess onJdk17 = EndedProcess.run(launcher(Jdk17.home(), "doctor"));
        assertThat(onJdk17.output()).containsPattern("\nok +backend +jna; not usable: ffm: needs Java 22 or later\n");
        assertThat(onJdk17.errors()).isEmpty();
    }

    @Test
    void theJarPrintsItsVersion() {
        String version = jar.getFileName().toString().replaceAll("ksm-tools-(.+)-runnable[.]jar", "$1");

        assertThat(EndedProcess.run(launcher(JDK, "--version")).output()).isEqualTo("ksm, of ksm4j " + version + "\n");
        assertThat(EndedProcess.run(launcher(JDK, "status", "--version")).output())
                .isEqualTo("ksm, of ksm4j " + version + "\n");
    }

    /** Changes everything that a process inherits to something unusual, and becomes its arguments. */
    private static final String UNUSUAL = """
            trap '' INT QUIT USR2 PIPE XFSZ
            umask 027
            ulimit -Sn 321
            cd /usr
            echo 0x31 >/proc/self/coredump_filter
            echo 200 >/proc/self/oom_score_adj
            echo 60000 >/proc/$$/timerslack_ns
            cpu=$(sed -n 's/^Cpus_allowed_list:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/self/status)
            exec chrt --reset-on-fork --other 0 nice -n 3 ionice -c 3 taskset -c "$cpu" \\
                env a.b=1 'f%%=() { :; }' JAVA_TOOL_OPTIONS=-XX:+UseG1GC _JAVA_OPTIONS=-XX:+UseParallelGC \\
                setpriv --pdeathsig USR1 "$@"
            """;

    /** Writes everything that it has inherited to descriptor 7. */
    private static final String TELL = """
            {
                ls "/proc/$$/fd"
                for fd in /proc/$$/fd/*; do readlink "$fd"; done
                fields='Umask|Uid|Gid|Groups|Sig[^Q]|ShdPnd|THP|Cap|NoNewPrivs|Seccomp|Spec|Cpus|Mems'
                grep -E "^($fields)" "/proc/$$/status"
                for file in coredump_filter oom_score_adj limits personality environ; do cat "/proc/$$/$file"; done
                # Users may read their own only.
                read -r slack <"/proc/$$/timerslack_ns"
                echo "slack $slack"
                readlink "/proc/$$/cwd" "/proc/$$/root"
                # Parent, group, session, terminal, nice, real-time priority and policy.
                cut -d ' ' -f 4-8,19,40,41 "/proc/$$/stat"
                chrt -p $$ | sed 's/pid [0-9]*//'
                ionice -p $$
            } >&7 2>&7
            exec setpriv --dump >&7
            """;

    @ParameterizedTest
    @ValueSource(strings = {"", "exec <&- 2>&-\n"})
    void aProgramInheritsTheSameAsWithoutKsm(String closing, @TempDir Path directory) throws IOException {
        Path errors = directory.resolve("errors");
        String files = "exec </dev/null >/dev/null 2>>" + errors + " 7>\"$0\"\n" + closing;
        Path jdk = closing.isEmpty() ? JDK : Jdk17.home();
        List<String> tell = List.of("sh", "-c", TELL);
        Path without = directory.resolve("without");
        Path with = directory.resolve("with");

        int plain = run(jdk, files + UNUSUAL, without, tell);
        int byKsm = run(jdk, files + UNUSUAL, with, List.of(LAUNCHER, "run", "sh", "-c", TELL));

        assertThat(List.of(plain, byKsm)).as(Files.readString(errors)).containsOnly(0);
        String expected = Files.readString(without);
        assertThat(expected)
                .contains(
                        "Parent death signal: USR1", "a.b=1", "00000031", "SCHED_RESET_ON_FORK", "slack 60000", "/usr");
        assertThat(Files.readString(with).replace(with.toString(), without.toString()))
                .isEqualTo(expected);
    }

    private static int run(Path jdk, String script, Path output, List<String> command) {
        List<String> all = new ArrayList<>(
                List.of("env", "JAVA_HOME=" + jdk, "KSM_JAR=" + jar, "sh", "-c", script, output.toString()));
        all.addAll(command);
        return EndedProcess.run(all).exitStatus();
    }

    /** Its classes would take longer to load than everything else. */
    @ParameterizedTest
    @ValueSource(strings = {"status", "status --json"})
    void statusDoesNotLoadTheParser(String arguments, @TempDir Path directory) throws IOException {
        Path log = directory.resolve("classes");
        List<String> command = new ArrayList<>(List.of("env", "KSM_JAVA_OPTIONS=-Xlog:class+load:file=" + log));
        command.addAll(launcher(JDK, arguments.split(" ", -1)));

        EndedProcess status = EndedProcess.run(command);

        assertThat(status.exitStatus()).as(status.errors()).isZero();
        assertThat(status.output()).contains("--json".equals(command.get(command.size() - 1)) ? "{" : "ksmd ");
        // The verifier and the table of subcommands load a few small classes.
        assertThat(Files.readString(log))
                .contains(" io.ksm4j.tools.KsmCommand source")
                .doesNotContain(" picocli.CommandLine source");
    }
}
