// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.build;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.testsupport.EndedProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The scripts that start programs from the sources, in a copy of the tree with a {@code java} that prints its
 * arguments.
 */
@Aside
class ScriptsTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

    private static final String OPTIONS_OF_OTHERS =
            "JAVA_TOOL_OPTIONS=-XX:+UseG1GC JDK_JAVA_OPTIONS=-XX:+UseParallelGC _JAVA_OPTIONS=-XX:+UseZGC";

    private static final String JAVA = """
            #!/bin/sh
            case $1 in -XshowSettings*)
                [ -z "$JDK_JAVA_OPTIONS$JAVA_TOOL_OPTIONS$_JAVA_OPTIONS" ] || exit 1
                echo '    java.specification.version = 25' >&2
                exit
            esac
            echo "java $*"
            echo "options $JAVA_TOOL_OPTIONS$JDK_JAVA_OPTIONS$_JAVA_OPTIONS."
            """;

    /** Fails with two garbage collectors, as Maven does, and creates the class path that a program needs. */
    private static final String MVNW = """
            #!/bin/sh
            [ -z "$JDK_JAVA_OPTIONS$JAVA_TOOL_OPTIONS$_JAVA_OPTIONS" ] || exit 1
            mkdir -p samples/quickstart/target/classes
            : >samples/quickstart/target/class-path
            """;

    @TempDir
    private Path directory;

    private Path tree = Path.of("");

    @BeforeEach
    void createTree() throws IOException {
        tree = directory.resolve("a tree");
        for (String script :
                List.of("ksm", "samples/run", "benchmarks/run", "libexec/java-main", "ksm-tools/src/main/dist/ksm")) {
            write(script, Files.readString(ROOT.resolve(script)));
        }
        write("ksm-tools/target/ksm-tools-1-runnable.jar", "");
        write("pom.xml", "");
        write("ksm-plot/pom.xml", "");
        Files.setLastModifiedTime(
                tree.resolve("ksm-tools/target/ksm-tools-1-runnable.jar"),
                FileTime.fromMillis(System.currentTimeMillis() + 60_000));
        write("mvnw", MVNW);
        write("../jdk/bin/java", JAVA);
    }

    private void write(String file, String text) throws IOException {
        Path path = tree.resolve(file).normalize();
        Files.createDirectories(path.getParent());
        Files.writeString(path, text);
        Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    private EndedProcess shell(String... commands) {
        String script =
                "cd '" + directory + "'; export JAVA_HOME='" + directory + "/jdk'; " + String.join("; ", commands);
        return EndedProcess.run(List.of("env", "-u", "KSM_JAVA_OPTIONS", "-u", "CDPATH", "bash", "-c", script));
    }

    @Test
    void scriptsRunFromAnyDirectoryByAnyName() {
        for (String way : List.of(
                "export CDPATH=.:/; 'a tree/ksm' doctor",
                "cd 'a tree'; export CDPATH=.:/; bash ksm doctor",
                "ln -s 'a tree/ksm' link; CDPATH=. ./link doctor")) {
            EndedProcess ksm = shell(way);
            assertThat(ksm.output())
                    .as(way + ": " + ksm.errors())
                    .startsWith("java ")
                    .contains(" -jar " + tree + "/ksm-tools/target/ksm-tools-1-runnable.jar doctor\n");
        }
        for (String way : List.of(
                "export CDPATH=.:/; 'a tree/samples/run' numbers",
                "cd 'a tree'; export CDPATH=.:/; samples/run numbers",
                "ln -s ../'a tree'/samples/run jdk/sample; CDPATH=. jdk/sample numbers")) {
            EndedProcess sample = shell(way);
            assertThat(sample.output())
                    .as(way + ": " + sample.errors())
                    .contains(" -cp " + tree + "/samples/quickstart/target/classes:")
                    .contains(" io.ksm4j.samples.quickstart.Numbers\n");
        }
    }

    @Test
    void ksmIgnoresOptionsForOtherPrograms() {
        EndedProcess ksm = shell("export " + OPTIONS_OF_OTHERS, "'a tree/ksm' status");

        assertThat(ksm.output())
                .as(ksm.errors())
                .contains(" -XX:+UseSerialGC -jar ")
                .endsWith("options .\n");
    }

    @Test
    void ksmPrefersItsOwnOptions() {
        EndedProcess ksm = shell("export KSM_JAVA_OPTIONS='-Xmx8g -XX:+UseParallelGC'", "'a tree/ksm' status");

        assertThat(ksm.output())
                .as(ksm.errors())
                .contains(" -Xmx8g -XX:+UseParallelGC -jar ")
                .doesNotContain("UseSerialGC");
    }

    /** They apply to the program, but neither to the build nor to the check of the Java version. */
    @Test
    void whatNeedsALargeArtifactIsBuiltWithTheSampleOnly() throws IOException {
        write("mvnw", "#!/bin/sh\necho \"$MAVEN_ARGS $*\"\nexit 1\n");

        assertThat(shell("'a tree/samples/run' inference").errors())
                .contains(" -Ponnxruntime ", " -pl samples/inference-jvm ");
        assertThat(shell("'a tree/samples/run' numbers").errors())
                .contains(" -pl samples/quickstart ")
                .doesNotContain("-Ponnxruntime");
    }

    @Test
    void samplesGetTheOptionsForAllPrograms() {
        EndedProcess sample = shell("export " + OPTIONS_OF_OTHERS, "'a tree/samples/run' numbers");

        assertThat(sample.output())
                .as(sample.errors())
                .endsWith("options -XX:+UseG1GC-XX:+UseParallelGC-XX:+UseZGC.\n");
    }

    /**
     * The environment has no room for one more variable: the garbage collector for other programs stays, and is the
     * only one.
     */
    @Test
    void optionsThatRunCannotPassOnStay() {
        EndedProcess ksm = shell(
                "export JAVA_TOOL_OPTIONS=-XX:+UseG1GC",
                "export A=$(printf '%0100000d' 0) B=$(printf '%0100000d' 0)",
                "'a tree/ksm' run true");

        assertThat(ksm.output()).as(ksm.errors()).doesNotContain("UseSerialGC").endsWith("options -XX:+UseG1GC.\n");
    }
}
