// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.build;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.testsupport.Needed;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarInputStream;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Jars that contain third-party software list it with its licence. */
class ThirdPartyTest {

    private static final String AGENT_INSIDE = "io/ksm4j/tools/attach/ksm-agent.jar";
    private static final Pattern PACKAGES = Pattern.compile("^Packages: (.+)$", Pattern.MULTILINE);
    private static final Pattern LICENSES = Pattern.compile("in ((?:isolated/)?META-INF/[A-Z0-9.]*[A-Z0-9])");

    @Test
    void theAgentListsWhatItContains() throws IOException {
        Contents agent = contents(Files.newInputStream(Path.of("..", "ksm-agent", "target", "ksm-agent.jar")));
        agent.assertListed();
    }

    @Test
    void theRunnableJarListsWhatItContains() throws IOException {
        List<Path> jars;
        try (Stream<Path> files = Files.list(Path.of("..", "ksm-tools", "target"))) {
            jars = files.filter(file -> file.toString().endsWith("-runnable.jar"))
                    .toList();
        }
        Needed.require(jars.size() == 1, "needs one runnable jar: ./mvnw package builds it");
        Contents runnable = contents(Files.newInputStream(jars.get(0)));
        runnable.assertListed();
        assertThat(runnable.packages).contains("picocli", "com.sun.jna");
        Objects.requireNonNull(runnable.agent, AGENT_INSIDE).assertListed();
    }

    private record Contents(
            List<String> names,
            TreeSet<String> packages,
            String notices,
            @Nullable Contents agent) {

        void assertListed() {
            List<String> listed = PACKAGES.matcher(notices)
                    .results()
                    .map(match -> match.group(1))
                    .toList();
            assertThat(packages)
                    .as("packages that are not listed: %s", listed)
                    .allMatch(name -> listed.stream().anyMatch(prefix -> (name + ".").startsWith(prefix + ".")));
            assertThat(listed)
                    .as("listed, but not in the jar")
                    .allMatch(prefix -> packages.stream().anyMatch(name -> (name + ".").startsWith(prefix + ".")));
            assertThat(names)
                    .containsAll(LICENSES.matcher(notices)
                            .results()
                            .map(match -> match.group(1))
                            .toList());
        }
    }

    private static Contents contents(InputStream file) throws IOException {
        List<String> names = new ArrayList<>();
        TreeSet<String> packages = new TreeSet<>();
        String notices = "";
        Contents agent = null;
        try (JarInputStream jar = new JarInputStream(file)) {
            for (JarEntry entry = jar.getNextJarEntry(); entry != null; entry = jar.getNextJarEntry()) {
                String name = entry.getName();
                names.add(name);
                String inFolder = name.replaceFirst("^(isolated|META-INF/versions/[0-9]+)/", "");
                if (name.equals("META-INF/THIRD-PARTY.txt")) {
                    notices = new String(jar.readAllBytes(), StandardCharsets.UTF_8);
                } else if (name.equals(AGENT_INSIDE)) {
                    agent = contents(new ByteArrayInputStream(jar.readAllBytes()));
                } else if (inFolder.endsWith(".class") && !inFolder.startsWith("io/ksm4j/")) {
                    packages.add(inFolder.substring(0, Math.max(0, inFolder.lastIndexOf('/')))
                            .replace('/', '.'));
                }
            }
        }
        return new Contents(names, packages, notices, agent);
    }
}
