// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.build;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.it.fixtures.Aside;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The names of modules and packages in this repository. */
@Aside
class ModulesTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

    static List<String> modules() throws IOException {
        return matches("<module>(.+)</module>", ROOT.resolve("pom.xml"));
    }

    private static List<String> matches(String pattern, Path file) throws IOException {
        Matcher matcher = Pattern.compile(pattern).matcher(Files.readString(file));
        return matcher.results().map(match -> match.group(1)).toList();
    }

    private static boolean isPublished(String module) throws IOException {
        return !Files.readString(ROOT.resolve(module).resolve("pom.xml")).contains("<maven.deploy.skip>true<");
    }

    /** The first artifact in a POM is the parent, if it has one. */
    @ParameterizedTest
    @MethodSource("modules")
    void aDirectoryIsNamedLikeItsArtifact(String module) throws IOException {
        Path pom = ROOT.resolve(module).resolve("pom.xml");
        List<String> artifacts = matches("(?m)^  <artifactId>(.+)</artifactId>", pom);

        assertThat(artifacts).containsExactly(Path.of(module).getFileName().toString());
    }

    @ParameterizedTest
    @MethodSource("modules")
    void theNameTellsWhetherAModuleIsPublished(String module) throws IOException {
        assertThat(module.startsWith("ksm-")).isEqualTo(isPublished(module));
    }

    @Tag("long")
    @Test
    void theBomHasAllPublishedModules() throws IOException {
        Set<String> published = new TreeSet<>();
        for (String module : modules()) {
            if (isPublished(module) && !module.equals("ksm-bom")) {
                published.add(module);
            }
        }

        assertThat(matches("(?m)^        <artifactId>(ksm-.+)</artifactId>", ROOT.resolve("ksm-bom/pom.xml")))
                .containsExactlyElementsOf(published);
        assertThat(PublishedModules.CLASSES.keySet()).containsExactlyElementsOf(published);
    }

    /** Tests may be in the packages of their own module only. */
    @Test
    void noPackageIsInTwoModules() throws IOException {
        Map<String, Set<String>> modulesByPackage = new TreeMap<>();
        for (String module : modules()) {
            for (String packageName : packages(module)) {
                modulesByPackage
                        .computeIfAbsent(packageName, name -> new TreeSet<>())
                        .add(module);
            }
        }

        assertThat(modulesByPackage).containsKeys("io.ksm4j", "io.ksm4j.it.build", "io.ksm4j.samples.tenants");
        assertThat(modulesByPackage)
                .allSatisfy((packageName, modules) -> assertThat(modules).hasSize(1));
    }

    private static Set<String> packages(String module) throws IOException {
        Set<String> packages = new TreeSet<>();
        for (String part : List.of("main", "test")) {
            Path sources = ROOT.resolve(module).resolve("src").resolve(part).resolve("java");
            if (Files.isDirectory(sources)) {
                try (Stream<Path> files = Files.walk(sources)) {
                    files.filter(file -> file.toString().endsWith(".java"))
                            .map(file -> sources.relativize(file).getParent())
                            .filter(directory -> directory != null)
                            .forEach(directory ->
                                    packages.add(directory.toString().replace('/', '.')));
                }
            }
        }
        return packages;
    }

    /** A sample shows what users may do. */
    @Test
    void samplesUseNoInternalPackage() throws IOException {
        try (Stream<Path> files = Files.walk(ROOT.resolve("samples"))) {
            Map<Path, String> sources = files.filter(file -> file.toString().endsWith(".java"))
                    .collect(Collectors.toMap(file -> file, ModulesTest::read));

            assertThat(sources)
                    .isNotEmpty()
                    .noneSatisfy((file, text) -> assertThat(text).contains("io.ksm4j.internal"));
        }
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
