// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.release;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.release.Maven.Build;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.xpath.XPath;
import javax.xml.xpath.XPathConstants;
import javax.xml.xpath.XPathExpressionException;
import javax.xml.xpath.XPathFactory;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;

/** A release as RELEASING.md makes it, twice: each in a directory, a time zone and a language of its own. */
@Aside
@Tag("long")
@Timeout(value = 30, unit = TimeUnit.MINUTES)
class ReleaseTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

    /** The command of RELEASING.md; the gate has compiled the tests, and looked for errors, already. */
    private static final List<String> DEPLOY = List.of(
            "-Prelease",
            "deploy",
            "-Dmaven.test.skip=true",
            "-Derrorprone=-XDwithoutErrorProne",
            "-Dspotless.skip=true");

    @TempDir
    private static Path directory;

    private static Maven maven;
    private static String version = "";
    private static Path sources;
    private static Path release;
    private static Path again;

    /** The path of each released file relative to the release, without what the repository keeps for itself. */
    private static Set<String> files;

    /** The POM of each released artifact. */
    private static final Map<String, Pom> POMS = new TreeMap<>();

    @BeforeAll
    static void makeItTwice() throws Exception {
        version =
                firstMatch("<version>(.+?)(?:-SNAPSHOT)?</version>", Files.readString(ROOT.resolve("ksm-bom/pom.xml")));
        maven = new Maven(directory.resolve("builder"));
        sources = directory.resolve("sources");
        copySources(sources);
        setVersion(sources, version);
        release = release(maven, sources, Map.of("TZ", "Asia/Kathmandu"));
        Path copy = directory.resolve("elsewhere/the same sources");
        copySources(copy);
        setVersion(copy, version);
        Maven other = new Maven(directory.resolve("other-builder"));
        Map<String, String> environment =
                Map.of("TZ", "America/Caracas", "MAVEN_OPTS", "-Duser.language=de -Duser.country=DE");
        // The other modules have been built once, which will do.
        again = release(
                other,
                copy,
                environment,
                "-pl",
                String.join(",", modulesForUsers().keySet()),
                "-am");
        other.unlink();
        files = filesOf(release);
        for (String file : files) {
            if (file.endsWith(".pom")) {
                Pom pom = new Pom(release.resolve(file));
                POMS.put(pom.text("/project/artifactId"), pom);
            }
        }
    }

    @AfterAll
    static void unlink() throws IOException {
        maven.unlink();
    }

    private static Path release(Maven maven, Path copy, Map<String, String> environment, String... more)
            throws Exception {
        Path target = Files.createDirectory(copy.resolveSibling(copy.getFileName() + " released"));
        List<String> arguments = new ArrayList<>(DEPLOY);
        // A URI, because of the space.
        arguments.add("-DaltDeploymentRepository=local::" + target.toUri());
        arguments.addAll(List.of(more));
        maven.run(copy, environment, arguments.toArray(String[]::new)).assertSuccess();
        return target;
    }

    /** The directories of the modules that are released, with their artifacts. */
    private static Map<String, String> modulesForUsers() throws Exception {
        Map<String, String> found = new TreeMap<>();
        NodeList modules = new Pom(sources.resolve("pom.xml")).nodes("/project/modules/module");
        for (int i = 0; i < modules.getLength(); i++) {
            String module = modules.item(i).getTextContent();
            Pom pom = new Pom(sources.resolve(module).resolve("pom.xml"));
            if (!pom.text("/project/properties/maven.deploy.skip").equals("true")) {
                found.put(module, pom.text("/project/artifactId"));
            }
        }
        return found;
    }

    private static void copySources(Path copy) throws IOException {
        Files.walkFileTree(ROOT, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path from, BasicFileAttributes attributes) throws IOException {
                String name = from.getFileName().toString();
                if (name.equals("target") || (name.startsWith(".") && !name.equals(".mvn"))) {
                    return FileVisitResult.SKIP_SUBTREE;
                }
                Files.createDirectories(copy.resolve(ROOT.relativize(from).toString()));
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path from, BasicFileAttributes attributes) throws IOException {
                Files.copy(from, copy.resolve(ROOT.relativize(from).toString()));
                return FileVisitResult.CONTINUE;
            }
        });
    }

    private static void setVersion(Path copy, String version) throws IOException, InterruptedException {
        Script script = Script.run(Map.of(), copy.resolve("libexec/set-version"), version);
        assertThat(script.exitStatus()).as(script.output()).isZero();
    }

    private static Set<String> filesOf(Path repository) throws IOException {
        try (Stream<Path> found = Files.walk(repository)) {
            return found.filter(Files::isRegularFile)
                    .map(file -> repository.relativize(file).toString())
                    // Says when it was deployed.
                    .filter(file -> !file.contains("maven-metadata.xml"))
                    .collect(Collectors.toCollection(TreeSet::new));
        }
    }

    private static String path(String artifact, String suffix) {
        return String.join("/", "io/ksm4j", artifact, version, artifact + "-" + version + suffix);
    }

    @Test
    void bothHaveTheSameBytes() throws IOException {
        assertThat(filesOf(again)).isEqualTo(files);
        for (String file : files) {
            assertThat(Files.mismatch(release.resolve(file), again.resolve(file)))
                    .as(file)
                    .isEqualTo(-1);
        }
    }

    @Test
    void everyModuleForUsersIsReleasedAndNoOther() throws Exception {
        Set<String> expected = new TreeSet<>(modulesForUsers().values());

        assertThat(POMS.keySet()).isEqualTo(expected);
        assertThat(expected)
                .contains(
                        "ksm-agent", "ksm-api", "ksm-bom", "ksm-control", "ksm-ffm", "ksm-jna", "ksm-jnr", "ksm-tools")
                .doesNotContain("ksm4j-parent", "integration-tests", "benchmarks", "test-support")
                .noneMatch(artifact -> artifact.contains("sample") || artifact.contains("kernels"));
        Pom bom = POMS.get("ksm-bom");
        NodeList managed = bom.nodes("/project/dependencyManagement/dependencies/dependency/artifactId");
        assertThat(managed.getLength()).isGreaterThanOrEqualTo(8);
        for (int i = 0; i < managed.getLength(); i++) {
            assertThat(expected).contains(managed.item(i).getTextContent());
        }
    }

    @Test
    void everyJarHasSourcesJavadocAndChecksums() {
        POMS.forEach((artifact, pom) -> {
            if (!pom.text("/project/packaging").equals("pom")) {
                assertThat(files)
                        .contains(
                                path(artifact, ".jar"), path(artifact, "-sources.jar"), path(artifact, "-javadoc.jar"));
            }
        });
        assertThat(files).contains(path("ksm-tools", "-runnable.jar"));
        assertThat(files)
                .filteredOn(file -> file.endsWith(".jar") || file.endsWith(".pom"))
                .allSatisfy(file -> assertThat(files).contains(file + ".md5", file + ".sha1"));
    }

    @Test
    void everyPomSaysWhatCentralAsksForAndNothingOfTheBuild() throws IOException {
        for (Pom pom : POMS.values()) {
            for (String element : List.of(
                    "groupId",
                    "artifactId",
                    "version",
                    "name",
                    "description",
                    "url",
                    "licenses/license/name",
                    "licenses/license/url",
                    "developers/developer/name",
                    "scm/connection",
                    "scm/developerConnection",
                    "scm/url")) {
                assertThat(pom.text("/project/" + element))
                        .as(element + " of " + pom.file)
                        .isNotBlank();
            }
            for (String element : List.of(
                    "parent",
                    "build",
                    "profiles",
                    "properties",
                    "repositories",
                    "reporting",
                    "distributionManagement")) {
                assertThat(pom.nodes("/project/" + element).getLength())
                        .as(element + " of " + pom.file)
                        .isZero();
            }
            assertThat(Files.readString(pom.file)).doesNotContain("${", "SNAPSHOT", "<scope>test</scope>");
        }
    }

    @Test
    void everyArtifactCanBeResolved() throws Exception {
        StringBuilder dependencies = new StringBuilder();
        Pattern jar = Pattern.compile("io/ksm4j/([^/]+)/[^/]+/\\1-" + Pattern.quote(version) + "-?(.*)\\.jar");
        Set<String> jars = new TreeSet<>();
        for (String file : files) {
            Matcher matcher = jar.matcher(file);
            if (matcher.matches()) {
                jars.add(file);
                dependencies.append("""
                          <dependency>
                            <groupId>io.ksm4j</groupId>
                            <artifactId>%s</artifactId>
                            <version>%s</version>
                            <classifier>%s</classifier>
                          </dependency>
                        """.formatted(matcher.group(1), version, matcher.group(2)));
            }
        }
        Path project = project("everything", "<dependencies>" + dependencies + "</dependencies>");
        Maven user = new Maven(directory.resolve("resolver"));
        try {
            user.run(project, "dependency:copy-dependencies", "-DoutputDirectory=" + project.resolve("resolved"))
                    .assertSuccess();
        } finally {
            user.unlink();
        }

        assertThat(jars).hasSizeGreaterThan(20);
        for (String file : jars) {
            Path resolved = project.resolve("resolved").resolve(Path.of(file).getFileName());
            assertThat(Files.mismatch(release.resolve(file), resolved)).as(file).isEqualTo(-1);
        }
    }

    @Test
    void theProgramOfTheReadmeRuns() throws Exception {
        String readme = Files.readString(sources.resolve("README.md"));
        String program = firstMatch("(?ms)^```java\\n(.*?)^```", readme);
        String name = firstMatch("class (\\w+)", program);
        String versions = firstMatch("(?s)```xml\\n(<dependencyManagement>.*?)```", readme);
        String dependencies = firstMatch("(?s)\\nOn Java 22 [^\\n]*:\\n\\n```xml\\n(.*?)```", readme);
        Path project = project("program", versions + dependencies);
        Path source = Files.createDirectories(project.resolve("src/main/java")).resolve(name + ".java");
        Files.writeString(source, program);
        Path classPath = project.resolve("class-path");
        Maven user = new Maven(directory.resolve("user"));
        try {
            user.run(project, "compile", "dependency:build-classpath", "-Dmdep.outputFile=" + classPath)
                    .assertSuccess();
            Process java = new ProcessBuilder(
                            System.getProperty("java.home") + "/bin/java",
                            "--enable-native-access=ALL-UNNAMED",
                            "-cp",
                            Files.readString(classPath) + ":" + project.resolve("target/classes"),
                            name)
                    .redirectErrorStream(true)
                    .start();
            String output = new String(java.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertThat(java.waitFor()).as(output).isZero();
            assertThat(output).hasLineCount(2);
        } finally {
            user.unlink();
        }
    }

    @Test
    void theSiteHasNoBrokenLink() throws Exception {
        Path site = directory.resolve("site");
        Map<String, String> environment = Map.of(
                "JAVA_HOME",
                System.getProperty("java.home"),
                "MAVEN_ARGS",
                "-Dmaven.repo.local=" + directory.resolve("builder"));
        Script script = Script.run(environment, sources.resolve("libexec/site"), site.toString());

        assertThat(script.exitStatus()).as(script.output()).isZero();
        assertThat(site.resolve("index.html")).isNotEmptyFile();
        assertThat(site.resolve("api/io.ksm4j/io/ksm4j/Ksm.html")).isNotEmptyFile();
    }

    @Test
    void anIncompatibleChangeOfTheApiFailsTheBuild() throws Exception {
        Path copy = directory.resolve("next");
        copySources(copy);
        setVersion(copy, "99.0.0-SNAPSHOT");
        String repositories = """
                <repositories>
                  <repository>
                    <id>release</id>
                    <url>%s</url>
                  </repository>
                </repositories>
                <build>""".formatted(release.toUri());
        edit(copy.resolve("ksm-bom/pom.xml"), "<build>", repositories);
        String[] compare = {
            "verify",
            "-pl",
            "ksm-api",
            "-am",
            "-Dapi.baseline=" + version,
            "-Dmaven.test.skip=true",
            "-Derrorprone=-XDwithoutErrorProne",
            "-Ddoclint=none",
            "-Dspotless.skip=true"
        };

        Build same = maven.run(copy, compare).assertSuccess();
        edit(
                copy.resolve("ksm-api/src/main/java/io/ksm4j/Ksm.java"),
                "public static Ksm fallback(",
                "static Ksm fallback(");
        Build broken = maven.run(copy, compare);

        assertThat(same.output()).contains("japicmp").doesNotContain("is compared with no release");
        assertThat(broken.exitStatus()).isEqualTo(1);
        assertThat(broken.output()).containsPattern("(?i)io\\.ksm4j\\.Ksm\\.fallback\\(\\).*METHOD_LESS_ACCESSIBLE");
    }

    private static void edit(Path file, String before, String after) throws IOException {
        String text = Files.readString(file);
        assertThat(text).contains(before);
        Files.writeString(file, text.replaceFirst(Pattern.quote(before), Matcher.quoteReplacement(after)));
    }

    /** A project that knows of no other ksm4j than the release. Its plugins are those of the build, which are here. */
    private static Path project(String name, String dependencies) throws IOException {
        Path project = Files.createDirectory(directory.resolve(name));
        Files.createDirectory(project.resolve(".mvn"));
        StringBuilder plugins = new StringBuilder();
        Pattern managed = Pattern.compile(
                "<artifactId>maven-(?:compiler|dependency|resources)-plugin</artifactId>\\s*<version>[^<]+</version>");
        managed.matcher(Files.readString(ROOT.resolve("pom.xml")))
                .results()
                .forEach(match ->
                        plugins.append("<plugin>").append(match.group()).append("</plugin>"));
        Files.writeString(project.resolve("pom.xml"), """
                <project xmlns="http://maven.apache.org/POM/4.0.0">
                  <modelVersion>4.0.0</modelVersion>
                  <groupId>com.example</groupId>
                  <artifactId>%s</artifactId>
                  <version>1</version>
                  <properties>
                    <maven.compiler.release>22</maven.compiler.release>
                    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
                  </properties>
                  <repositories>
                    <repository>
                      <id>release</id>
                      <url>%s</url>
                    </repository>
                  </repositories>
                  %s
                  <build>
                    <plugins>
                      %s
                    </plugins>
                  </build>
                </project>
                """.formatted(name, release.toUri(), dependencies, plugins));
        return project;
    }

    private static String firstMatch(String pattern, String text) {
        Matcher matcher = Pattern.compile(pattern).matcher(text);
        assertThat(matcher.find()).as(pattern).isTrue();
        return matcher.group(1);
    }

    /** A POM, asked by XPath. */
    private static final class Pom {

        private static final XPath XPATH = XPathFactory.newInstance().newXPath();

        final Path file;
        private final Document document;

        Pom(Path file) throws Exception {
            this.file = file;
            document = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(file.toFile());
        }

        String text(String path) {
            try {
                return XPATH.evaluate(path, document).strip();
            } catch (XPathExpressionException e) {
                throw new IllegalArgumentException(e);
            }
        }

        NodeList nodes(String path) {
            try {
                return (NodeList) XPATH.evaluate(path, document, XPathConstants.NODESET);
            } catch (XPathExpressionException e) {
                throw new IllegalArgumentException(e);
            }
        }
    }
}
