// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.docs;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.Javac;
import io.ksm4j.it.fixtures.Jdk17;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.spi.KsmBackendProvider;
import io.ksm4j.testsupport.JavaCommand;
import java.io.File;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The statements of the documents about the code are true. */
class ReadmeTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

    @ParameterizedTest
    @ValueSource(strings = {"README.md", "docs/arrow.md", "docs/pool.md", "docs/tuning.md"})
    void programsCompile(String document, @TempDir Path classes) throws IOException {
        List<String> programs = matches("(?ms)^```java\\n(.*?)^```", read(document));
        assertThat(programs).isNotEmpty();
        for (String program : programs) {
            JavaCompiler javac = ToolProvider.getSystemJavaCompiler();
            StringWriter messages = new StringWriter();
            List<String> options = List.of(
                    "--release", "17", "-Xlint:all,-options,-classfile", "-proc:none", "-d", classes.toString());
            boolean compiled = javac.getTask(messages, null, null, options, null, List.of(source(program)))
                    .call();
            assertThat(compiled).as(messages.toString()).isTrue();
        }
    }

    private static JavaFileObject source(String program) {
        String name = matches("class (\\w+)", program).get(0);
        return new SimpleJavaFileObject(URI.create("string:///" + name + ".java"), JavaFileObject.Kind.SOURCE) {
            @Override
            public CharSequence getCharContent(boolean ignoreEncodingErrors) {
                return program;
            }
        };
    }

    /** Merges pages, and prints the backend from its class path. */
    private static final String MERGES = """
            import io.ksm4j.Ksm;
            import io.ksm4j.MergeRegion;
            import java.security.SecureRandom;
            import java.time.Duration;

            class Merges {
                public static void main(String[] args) throws InterruptedException {
                    Ksm ksm = Ksm.systemOrFallback();
                    byte[] page = new byte[(int) ksm.pageSize()];
                    new SecureRandom().nextBytes(page);
                    try (MergeRegion region = ksm.allocate(64L * page.length)) {
                        for (int at = 0; at < region.size(); at += page.length) {
                            region.buffer().put(at, page);
                        }
                        Duration patience = Duration.ofSeconds(Long.parseLong(args[0]));
                        System.out.println(ksm.backend() + " " + region.awaitMerged(0.5, patience).isReached());
                    }
                }
            }
            """;

    /** Returns the class path of a program with the dependencies that README shows for this version of Java. */
    private static String classPathByReadme(String introduction) {
        String snippet = matches("(?s)\\n" + introduction + "[^\\n]*:\\n\\n```xml\\n(.*?)```", read("README.md"))
                .get(0);
        List<String> artifacts = matches("<artifactId>([\\w-]+)</artifactId>", snippet);
        assertThat(artifacts).hasSize(2).contains("ksm-api");
        List<String> classPath = new ArrayList<>();
        for (String entry : JavaCommand.classPath().split(File.pathSeparator, -1)) {
            // From this build or from the local repository.
            List<String> module = matches("/(ksm-[a-z]+)/[^/]+/[^/]+$", entry);
            boolean isOurs = Path.of(entry).startsWith(ROOT) || !module.isEmpty();
            if (!isOurs || (!module.isEmpty() && artifacts.contains(module.get(0)))) {
                classPath.add(entry);
            }
        }
        return String.join(File.pathSeparator, classPath);
    }

    @ParameterizedTest
    @CsvSource({"On Java 17 to 21, jnr", "On Java 22 or later, ffm"})
    @EnabledIfKsm(control = true)
    void theShownDependenciesMergePages(String introduction, String backend, RunningKsmd ksmd, @TempDir Path directory)
            throws IOException {
        assertThat(ksmd.read("run")).isEqualTo(1);
        String classPath = classPathByReadme(introduction);
        Path source = Files.writeString(directory.resolve("Merges.java"), MERGES);
        Javac.compile(source, classPath, directory);
        List<String> arguments = List.of(
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                classPath + File.pathSeparator + directory,
                "Merges",
                Long.toString(PATIENCE.toSeconds()));
        Path home = backend.equals("ffm") ? Path.of(System.getProperty("java.home")) : Jdk17.home();
        ChildJvm child = ChildJvm.run(home, PATIENCE.multipliedBy(2), arguments).assertEndedWell();
        assertThat(child.output()).contains(backend + " true");
    }

    @Test
    void everyExceptionIsExplained() throws IOException {
        String readme = read("README.md");
        List<String> exceptions = sources().stream()
                .filter(name -> name.endsWith("Exception.java"))
                // The command turns its exceptions into messages, and the cache server into replies.
                .filter(name -> !Files.exists(ROOT.resolve("ksm-tools/src/main/java/io/ksm4j/tools/output/" + name)))
                .filter(name -> !Files.exists(
                        ROOT.resolve("samples/cache-server/src/main/java/io/ksm4j/samples/cacheserver/" + name)))
                .map(name -> name.replace(".java", ""))
                .toList();
        assertThat(exceptions).contains("KsmException", "MarkNotTakenException");
        assertThat(exceptions).allSatisfy(exception -> assertThat(readme).contains("| `" + exception + "` |"));
    }

    @Test
    void everyBackendIsListedWithItsPriority() throws IOException {
        String readme = read("README.md");
        List<KsmBackendProvider> providers = ServiceLoader.load(KsmBackendProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .toList();
        assertThat(providers).hasSize(3);
        assertThat(providers)
                .allSatisfy(provider -> assertThat(readme)
                        .containsPattern(
                                "(?m)^\\| `" + provider.name() + "` \\|.*\\| " + provider.priority() + " \\|"));
    }

    @Test
    void allPropertiesAreListed() throws IOException {
        assertThat(read("README.md"))
                .contains("| `" + Ksm.BACKEND_PROPERTY + "` |")
                .contains("| `" + Ksm.TRACK_LEAKS_PROPERTY + "` |")
                .contains("| `io.ksm4j.jmx` |");
    }

    @Test
    void theCommandsOfContinuousIntegrationAreListed() throws IOException {
        List<String> commands = matches("(?m)^step \\w+ \\./mvnw -B -ntp (.*)$", read(".ci/run"));
        assertThat(commands)
                .containsExactly(
                        "verify --fail-at-end -Dksm.required=true", "verify --fail-at-end -Plong -Dksm.required=true");
        assertThat(read("README.md")).contains("\n    ./mvnw verify --fail-at-end\n");
        assertThat(read("CONTRIBUTING.md"))
                .contains("\n    ./mvnw verify --fail-at-end\n", "| `./mvnw verify --fail-at-end -Plong` |");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "README.md",
                "CONTRIBUTING.md",
                "docs/agent.md",
                "docs/arrow.md",
                "docs/coherence.md",
                "docs/command.md",
                "docs/inference.md",
                "docs/operations.md",
                "docs/reading-the-numbers.md",
                "docs/pool.md",
                "docs/tenants.md",
                "docs/tuning.md"
            })
    void linksWithinTheRepositoryWork(String document) throws IOException {
        Path directory = ROOT.resolve(document).getParent();
        List<String> links = matches("\\]\\(([^)#:]+)\\)", read(document));
        assertThat(links).allSatisfy(link -> assertThat(directory.resolve(link)).exists());
    }

    @Test
    void thePageOnTuningListsEverySettingWithItsRange() throws IOException {
        String page = read("docs/tuning.md").replace("none, scan-time", "0, 1");
        for (KsmSetting setting : KsmSetting.values()) {
            assertThat(page)
                    .containsPattern("(?m)^\\|.*`" + setting.file() + "`.*\\| " + setting.min() + "(, 1)*( to |, )"
                            + setting.max() + " \\|");
        }
    }

    private static List<String> sources() throws IOException {
        List<String> names = new ArrayList<>();
        for (String module : List.of(
                "benchmarks",
                "ksm-agent",
                "ksm-api",
                "ksm-arrow",
                "ksm-backend-tck",
                "ksm-control",
                "ksm-ffm",
                "ksm-jna",
                "ksm-jnr",
                "ksm-junit",
                "ksm-micrometer",
                "ksm-plot",
                "ksm-tools",
                "samples/cache-server",
                "samples/inference",
                "samples/measurement",
                "samples/tenants")) {
            try (Stream<Path> files = Files.walk(ROOT.resolve(module).resolve("src/main/java"))) {
                files.filter(Files::isRegularFile)
                        .forEach(file -> names.add(file.getFileName().toString()));
            }
        }
        return names;
    }

    /** {@return the first group of each match} */
    static List<String> matches(String pattern, String text) {
        return Pattern.compile(pattern)
                .matcher(text)
                .results()
                .map((MatchResult match) -> match.group(1))
                .toList();
    }

    private static String read(String file) {
        try {
            return Files.readString(ROOT.resolve(file));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
