package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.junit.EnabledIfKsm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The one jar of {@code ksm}, by the launcher that is installed with it. {@code package} builds it. */
@Aside
@EnabledIfKsm
class RunnableJarTest {

    private static final Path MODULE =
            Path.of("..", "ksm-tools").toAbsolutePath().normalize();

    private static final Path JDK = Path.of(System.getProperty("java.home"));

    private static Path jar = MODULE;

    @BeforeAll
    static void theJarIsBuilt() throws IOException {
        try (Stream<Path> files = Files.list(MODULE.resolve("target"))) {
            List<Path> jars = files.filter(file -> file.toString().endsWith("-runnable.jar"))
                    .toList();
            String reason = "no runnable jar in " + MODULE + "/target: ./mvnw package builds it";
            if (Boolean.getBoolean("ksm.required")) {
                assertThat(jars).as(reason).hasSize(1);
            }
            Assumptions.assumeTrue(jars.size() == 1, reason);
            jar = jars.get(0);
        }
    }

    private static List<String> launcher(Path jdk, String... arguments) {
        List<String> command = new ArrayList<>(List.of(
                "env",
                "JAVA_HOME=" + jdk,
                "KSM_JAR=" + jar,
                MODULE.resolve("src/main/dist/ksm").toString()));
        command.addAll(List.of(arguments));
        return command;
    }

    @Test
    void itBringsABackendForEveryJdk() throws IOException {
        KsmProcess onThisJdk = KsmProcess.runCommand(launcher(JDK, "doctor"));
        assertThat(onThisJdk.output())
                .containsPattern("\nok +java .*native access is enabled")
                .containsPattern("\nok +backend +ffm\n");
        assertThat(onThisJdk.errors()).isEmpty();

        KsmProcess onJdk17 = KsmProcess.runCommand(launcher(Jdk17.home(), "doctor"));
        assertThat(onJdk17.output())
                .containsPattern("\nok +backend +jna; not usable: ffm: it takes Java 22 or later\n");
        assertThat(onJdk17.errors()).isEmpty();
    }

    @Test
    void itTellsItsVersion() {
        String version = jar.getFileName().toString().replaceAll("ksm-tools-(.+)-runnable[.]jar", "$1");

        assertThat(KsmProcess.runCommand(launcher(JDK, "--version")).output())
                .isEqualTo("ksm, of ksm4j " + version + "\n");
        assertThat(KsmProcess.runCommand(launcher(JDK, "status", "--version")).output())
                .isEqualTo("ksm, of ksm4j " + version + "\n");
    }

    @Test
    void programsThatItRunsMayOpenAsManyFilesAsBefore() {
        List<String> command = new ArrayList<>(List.of("sh", "-c", "ulimit -Sn 321; exec \"$@\"", "sh"));
        command.addAll(launcher(JDK, "run", "sh", "-c", "ulimit -Sn"));

        assertThat(KsmProcess.runCommand(command).output()).isEqualTo("321\n");
    }
}
