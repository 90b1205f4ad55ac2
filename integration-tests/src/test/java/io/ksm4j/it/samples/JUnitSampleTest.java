// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.samples;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.it.fixtures.CodeLocation;
import io.ksm4j.it.fixtures.Jdk17;
import io.ksm4j.jna.JnaBackendProvider;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.spi.ToolProvider;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Copies {@code samples/junit} and builds it like a user: by a separate Maven, with ksm4j from a local repository. */
@EnabledIfKsm(control = true)
@Tag("long")
class JUnitSampleTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    private static final String GROUP = "io/ksm4j";

    private static final List<String> HIDDEN =
            List.of("unshare", "--mount", "sh", "-c", "mount -t tmpfs none /sys/kernel/mm/ksm && exec \"$0\" \"$@\"");

    private static final String REASON = "this process may not write /sys/kernel/mm/ksm/run";

    @TempDir
    private static Path directory;

    private static Path repository;
    private static Path project;

    @BeforeAll
    static void installAndCopy() throws IOException {
        repository = Files.createDirectory(directory.resolve("repository"));
        linkAllOthers();
        installPom("ksm4j-parent", ROOT);
        installPom("ksm-bom", ROOT.resolve("ksm-bom"));
        for (Class<?> type : List.of(Ksm.class, KsmDaemon.class, JnaBackendProvider.class, RunningKsmd.class)) {
            install(CodeLocation.of(type));
        }
        project = directory.resolve("project");
        Path sample = ROOT.resolve("samples/junit");
        copy(sample.resolve("pom.xml"), project.resolve("pom.xml"));
        try (Stream<Path> sources = Files.walk(sample.resolve("src"))) {
            for (Path source : sources.filter(Files::isRegularFile).toList()) {
                copy(source, project.resolve(sample.relativize(source).toString()));
            }
        }
    }

    /** Links all downloaded artifacts, but none of ksm4j, since those may be from another build. */
    private static void linkAllOthers() throws IOException {
        Path downloaded =
                Path.of(System.getProperty("localRepository", System.getProperty("user.home") + "/.m2/repository"));
        Files.createDirectories(repository.resolve(GROUP));
        for (Path parent : List.of(Path.of(""), Path.of(GROUP).getParent())) {
            try (Stream<Path> entries = Files.list(downloaded.resolve(parent))) {
                for (Path entry : entries.toList()) {
                    Path link = repository.resolve(downloaded.relativize(entry).toString());
                    if (!Files.exists(link) && !link.endsWith(GROUP)) {
                        Files.createSymbolicLink(link, entry);
                    }
                }
            }
        }
    }

    /** JUnit would not follow the links either, but warn of each. */
    @AfterAll
    static void unlink() throws IOException {
        try (Stream<Path> entries = Files.walk(repository, 2)) {
            for (Path link : entries.filter(Files::isSymbolicLink).toList()) {
                Files.delete(link);
            }
        }
    }

    private static void installPom(String artifact, Path module) throws IOException {
        copy(module.resolve("pom.xml"), installed(artifact, ".pom"));
    }

    /** Installs the jar, or the directory {@code classes} in a build that creates no jars. */
    private static void install(Path target) throws IOException {
        Path module = target.getParent().getParent();
        String artifact = module.getFileName().toString();
        installPom(artifact, module);
        Path jar = installed(artifact, ".jar");
        if (Files.isDirectory(target)) {
            int status = ToolProvider.findFirst("jar")
                    .orElseThrow()
                    .run(System.out, System.err, "--create", "--file=" + jar, "-C", target.toString(), ".");
            assertThat(status).isZero();
        } else {
            copy(target, jar);
        }
    }

    private static Path installed(String artifact, String type) throws IOException {
        Matcher version =
                Pattern.compile("<version>(.+)</version>").matcher(Files.readString(ROOT.resolve("ksm-bom/pom.xml")));
        assertThat(version.find()).isTrue();
        return repository.resolve(
                String.join("/", GROUP, artifact, version.group(1), artifact + "-" + version.group(1) + type));
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.createDirectories(to.getParent());
        Files.copy(from, to);
    }

    @Test
    void allItsTestsRun() throws Exception {
        Build build = build(List.of(), "-Dksm.required=true");

        assertThat(build.exitStatus()).as(build.output()).isZero();
        assertThat(build.output()).contains("Tests run: 4, Failures: 0, Errors: 0, Skipped: 0");
    }

    @Test
    void testsThatCannotRunAreSkippedWithTheReason() throws Exception {
        Build build = build(HIDDEN);

        assertThat(build.exitStatus()).as(build.output()).isZero();
        assertThat(build.output())
                .contains("Tests run: 4, Failures: 0, Errors: 0, Skipped: 2")
                .contains("tenantsShareEqualPrices(RunningKsmd) is skipped: " + REASON);
    }

    @Test
    void testsThatCannotRunFailWithTheReasonIfRequired() throws Exception {
        Build build = build(HIDDEN, "-Dksm.required=true");

        assertThat(build.exitStatus()).as(build.output()).isEqualTo(1);
        assertThat(build.output())
                .contains("Tests run: 4, Failures: 2, Errors: 0, Skipped: 0")
                .containsPattern("tenantsShareEqualPrices.* -Dksm.required=true, but " + REASON);
    }

    private record Build(int exitStatus, String output) {}

    private static Build build(List<String> prefix, String... options) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(prefix);
        command.addAll(
                List.of(ROOT.resolve("mvnw").toString(), "-B", "-ntp", "test", "-Dmaven.repo.local=" + repository));
        command.addAll(List.of(options));
        Path output = directory.resolve("output");
        ProcessBuilder maven = new ProcessBuilder(command)
                .directory(project.toFile())
                .redirectErrorStream(true)
                .redirectOutput(output.toFile());
        maven.environment().put("JAVA_HOME", Jdk17.home().toString());
        // It runs for seconds only, so optimised compilation would not pay off.
        maven.environment().merge("MAVEN_OPTS", "-XX:TieredStopAtLevel=1", (before, more) -> before + " " + more);
        Process process = maven.start();
        try {
            // Its tests wait for other builds that are using ksmd.
            assertThat(process.waitFor(PATIENCE)).as(Files.readString(output)).isTrue();
        } finally {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
        return new Build(process.exitValue(), Files.readString(output));
    }
}
