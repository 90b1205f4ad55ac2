// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.build;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.testsupport.EndedProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The scripts that run the gate and check that it leaves nothing behind. */
@Aside
class LibexecTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    private static final String NEEDS = ROOT.resolve("libexec/needs").toString();
    private static final String LEFT_BEHIND =
            ROOT.resolve("libexec/left-behind").toString();
    private static final String GATE = ROOT.resolve("libexec/gate").toString();
    private static final String JDK21 = ROOT.resolve("libexec/jdk21").toString();

    @Test
    void allMissingProgramsAreReportedInOneMessage(@TempDir Path path) throws IOException {
        // A PATH with the shell and the programs that the script itself needs.
        for (String program : List.of("bash", "sed")) {
            Files.createSymbolicLink(path.resolve(program), Path.of("/bin", program));
        }
        List<String> bare = List.of("env", "-i", "HOME=/nonexistent", "PATH=" + path, "bash", NEEDS);

        EndedProcess needs = EndedProcess.run(bare);

        assertThat(needs.exitStatus()).isEqualTo(1);
        assertThat(needs.output()).isEmpty();
        assertThat(needs.errors())
                .startsWith("The tests need what this machine lacks: ")
                .contains(
                        "a C compiler, gcc; redis-server; ",
                        "tmux; setpriv and unshare; git. On Debian: apt-get install ")
                .hasLineCount(1);
    }

    @Test
    void contributingNamesEveryRequiredProgram() throws IOException {
        String page = Files.readString(ROOT.resolve("CONTRIBUTING.md"));
        assertThat(Pattern.compile("(?m)^need .* (?:have|-x) (\\S+)$")
                        .matcher(Files.readString(Path.of(NEEDS)))
                        .results()
                        .map(match -> match.group(1)))
                .contains("gcc", "tmux", "/usr/bin/chromium")
                .allSatisfy(program -> assertThat(page).contains("`" + program + "`"));
    }

    @Test
    void leftoversOfARunAreReported(@TempDir Path directory) throws Exception {
        String mark = "KSM4J_GATE=" + UUID.randomUUID();
        Path place = Files.createDirectory(directory.resolve("place"));
        Path before = directory.resolve("before");
        List<String> prefix = List.of("env", mark, "TMPDIR=" + place, "HOME=" + place, "bash", LEFT_BEHIND);
        EndedProcess record = run(prefix, "record", before.toString());
        assertThat(record.exitStatus()).as(record.errors()).isZero();

        Path file = Files.createFile(place.resolve("a file"));
        Process process = new ProcessBuilder("env", mark, "sleep", "600").start();
        try {
            EndedProcess left = run(prefix, "compare", before.toString(), "0");

            assertThat(left.exitStatus()).isEqualTo(1);
            assertThat(left.errors())
                    .startsWith("Left behind or removed:\n")
                    .contains("\n> file " + file + "\n", "\n> process " + process.pid() + " sleep 600");
        } finally {
            process.destroyForcibly().waitFor();
        }
    }

    private static EndedProcess run(List<String> prefix, String... arguments) {
        return EndedProcess.run(
                Stream.concat(prefix.stream(), Stream.of(arguments)).toList());
    }

    @Test
    void aJava21IsFoundByItsVersion(@TempDir Path directory) throws IOException {
        Path jdk21 = plantJava(directory.resolve("a 21"), "21.0.5");
        Path other = plantJava(directory.resolve("other"), "17.0.21");
        List<String> bare = List.of("env", "-i", "HOME=" + directory, "PATH=/usr/bin:/bin");

        assertThat(run(bare, "JAVA21_HOME=" + other, "JAVA_HOME=" + jdk21, "bash", JDK21, "find"))
                .isEqualTo(new EndedProcess(0, jdk21 + "\n", ""));
    }

    private static Path plantJava(Path home, String version) throws IOException {
        Files.createDirectories(home.resolve("bin"));
        Files.createSymbolicLink(home.resolve("bin/java"), Path.of("/bin/true"));
        Files.writeString(home.resolve("release"), "IMPLEMENTOR=\"nobody\"\nJAVA_VERSION=\"" + version + "\"\n");
        return home;
    }

    @Tag("long")
    @Test
    void whereNoJava21CanBeFetchedItsTestsAreSkippedWithTheReason(@TempDir Path directory) throws IOException {
        List<String> bare = List.of("env", "-i", "HOME=" + directory, "PATH=" + directory + ":/usr/bin:/bin");
        EndedProcess find = run(bare, "bash", JDK21, "find");
        assumeThat(find.output()).as("Java 21 on this machine").isEmpty();
        assertThat(find.errors())
                .startsWith("Java 21 is not installed, so no tests run on it: ")
                .hasLineCount(1);
        for (String program : List.of("apt-get", "dpkg", "dpkg-deb")) {
            Path file = directory.resolve(program);
            Files.writeString(file, """
                    #!/bin/sh
                    [ "$1" = indextargets ] && exec echo http://mirror.invalid
                    [ "$1" = --print-architecture ] && exec echo amd64
                    echo 'E: no network'
                    exit 100
                    """);
            Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
        }

        EndedProcess fetch = run(bare, "bash", JDK21);

        assertThat(fetch.exitStatus()).as(fetch.errors()).isZero();
        assertThat(fetch.output())
                .startsWith("skipped: Java 21 is not installed, and ")
                .hasLineCount(1)
                .matches("(?s).*(apt-get could not fetch trixie's packages .*: E: no network"
                        + "|/usr/share/keyrings/.* is missing, .*)\\n");
        assertThat(directory.resolve(".cache/ksm4j")).isEmptyDirectory();
    }

    @Test
    void anUnknownModeIsRefusedWithTheUsage() {
        for (List<String> command : List.of(List.of(GATE), List.of(GATE, "nonsense"), List.of(GATE, "elsewhere"))) {
            EndedProcess gate = EndedProcess.run(command);

            assertThat(gate.exitStatus()).isEqualTo(2);
            assertThat(gate.errors()).contains("libexec/gate under-load  ", "  user        as an ordinary user\n");
        }
        EndedProcess jdk21 = EndedProcess.run(List.of(JDK21, "nonsense"));
        assertThat(jdk21.exitStatus()).isEqualTo(2);
        assertThat(jdk21.errors()).contains("libexec/jdk21 fetch  ");
    }
}
