package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.spi.KsmBackendProvider;
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
import org.junit.jupiter.params.provider.ValueSource;

/** What the documents say about the code is true. */
class ReadmeTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

    @ParameterizedTest
    @ValueSource(strings = {"README.md", "docs/pool.md", "docs/tuning.md"})
    void itsProgramsCompile(String document, @TempDir Path classes) throws IOException {
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

    @Test
    void itExplainsEveryException() throws IOException {
        String readme = read("README.md");
        List<String> exceptions = sources().stream()
                .filter(name -> name.endsWith("Exception.java"))
                // Those of the command become messages.
                .filter(name -> !Files.exists(ROOT.resolve("ksm-tools/src/main/java/io/ksm4j/tools/" + name)))
                .map(name -> name.replace(".java", ""))
                .toList();
        assertThat(exceptions).contains("KsmException", "MarkNotTakenException");
        assertThat(exceptions).allSatisfy(exception -> assertThat(readme).contains("| `" + exception + "` |"));
    }

    @Test
    void itListsEveryBackendWithItsPriority() throws IOException {
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
    void itListsTheProperties() throws IOException {
        assertThat(read("README.md"))
                .contains("| `" + Ksm.BACKEND_PROPERTY + "` |")
                .contains("| `" + Ksm.TRACK_LEAKS_PROPERTY + "` |")
                .contains("| `io.ksm4j.jmx` |");
    }

    @Test
    void itSaysWhatContinuousIntegrationRuns() throws IOException {
        List<String> commands = matches("(?m)^\\./mvnw -B -ntp (.*) \\|\\|", read(".ci/run"));
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
                "docs/architecture.md",
                "docs/command.md",
                "docs/operations.md",
                "docs/reading-the-numbers.md",
                "docs/pool.md",
                "docs/tenants.md",
                "docs/tuning.md"
            })
    void linksInTheRepositoryLeadSomewhere(String document) throws IOException {
        Path folder = ROOT.resolve(document).getParent();
        List<String> links = matches("\\]\\(([^)#:]+)\\)", read(document));
        assertThat(links).allSatisfy(link -> assertThat(folder.resolve(link)).exists());
    }

    @Test
    void thePageOnTuningListsEverySettingWithItsRange() throws IOException {
        String page = read("docs/tuning.md").replace("none, scan-time", "0, 1");
        for (KsmSetting setting : KsmSetting.values()) {
            assertThat(page)
                    .containsPattern("(?m)^\\|.*`" + setting.file() + "`.*\\| " + setting.least() + "(, 1)*( to |, )"
                            + setting.most() + " \\|");
        }
    }

    @Test
    void theArchitectureNamesFilesThatExist() throws IOException {
        List<String> named = matches("`(?:[\\w/.-]*/)?(\\w+\\.java)`", read("docs/architecture.md"));
        assertThat(named).contains("RegionTable.java", "FfmBackend.java");
        assertThat(sources()).containsAll(named);
    }

    private static List<String> sources() throws IOException {
        List<String> names = new ArrayList<>();
        for (String module : List.of(
                "benchmarks",
                "ksm-agent",
                "ksm-api",
                "ksm-control",
                "ksm-ffm",
                "ksm-jna",
                "ksm-jnr",
                "ksm-micrometer",
                "ksm-test",
                "ksm-tools",
                "plot",
                "samples/cache-server",
                "samples/tenants")) {
            try (Stream<Path> files = Files.walk(ROOT.resolve(module).resolve("src/main/java"))) {
                files.filter(Files::isRegularFile)
                        .forEach(file -> names.add(file.getFileName().toString()));
            }
        }
        return names;
    }

    private static List<String> matches(String pattern, String text) {
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
