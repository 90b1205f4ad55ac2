// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.release;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Maven, started in a process of its own with a local repository of its own. The repository has links to all that this
 * build has downloaded, but nothing of ksm4j, installed or not.
 */
final class Maven {

    private static final String ROOT = "..";
    private static final Path GROUP = Path.of("io/ksm4j");
    private static final long MINUTES = 20;

    private final Path repository;

    Maven(Path repository) throws IOException {
        this.repository = repository;
        Path downloaded =
                Path.of(System.getProperty("localRepository", System.getProperty("user.home") + "/.m2/repository"));
        Files.createDirectories(repository.resolve(GROUP));
        for (Path parent : List.of(Path.of(""), GROUP.getParent())) {
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

    /** Deletes the links, which JUnit would warn of when it deletes the directory. */
    void unlink() throws IOException {
        try (Stream<Path> entries = Files.walk(repository, GROUP.getNameCount())) {
            for (Path link : entries.filter(Files::isSymbolicLink).toList()) {
                Files.delete(link);
            }
        }
    }

    /**
     * One run of Maven.
     *
     * @param exitStatus its exit status
     * @param output what it wrote to standard output and standard error
     */
    record Build(int exitStatus, String output) {

        Build assertSuccess() {
            assertThat(exitStatus).as(output).isZero();
            return this;
        }
    }

    Build run(Path project, String... arguments) throws IOException, InterruptedException {
        return run(project, Map.of(), arguments);
    }

    Build run(Path project, Map<String, String> environment, String... arguments)
            throws IOException, InterruptedException {
        Path mvnw = Path.of(ROOT, "mvnw").toAbsolutePath().normalize();
        List<String> command =
                new ArrayList<>(List.of(mvnw.toString(), "-B", "-ntp", "-Dmaven.repo.local=" + repository));
        command.addAll(List.of(arguments));
        Path output = Files.createTempFile(repository.getParent(), "maven", ".log");
        ProcessBuilder maven = new ProcessBuilder(command)
                .directory(project.toFile())
                .redirectErrorStream(true)
                .redirectOutput(output.toFile());
        maven.environment().put("JAVA_HOME", System.getProperty("java.home"));
        maven.environment().putAll(environment);
        Process process = maven.start();
        try {
            assertThat(process.waitFor(MINUTES, TimeUnit.MINUTES))
                    .as(Files.readString(output))
                    .isTrue();
        } finally {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
        return new Build(process.exitValue(), Files.readString(output));
    }
}
