package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import io.ksm4j.Ksm;
import io.ksm4j.test.KsmKernel;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Each backend works as a named module, in a JVM of its own. */
class ModulePathTest {

    private static final String PROGRAM = """
            import io.ksm4j.*;

            class Program {
                public static void main(String[] arguments) {
                    Ksm ksm = Ksm.system();
                    try (MergeRegion region = ksm.allocate(1 << 20)) {
                        region.buffer().put(0, (byte) 1);
                        region.markUnmergeable();
                        region.markMergeable();
                        System.out.println("module " + Ksm.class.getModule().getName());
                        System.out.println("backend " + ksm.backend());
                        System.out.println("unmarked " + region.unmarkedRanges());
                        System.out.println("mergeable " + ksm.registry().mergeableBytes());
                    }
                }
            }
            """;

    @TempDir
    private Path folder;

    @BeforeEach
    void requireKsm() {
        KsmKernel.require();
    }

    @ParameterizedTest
    @CsvSource({
        "ffm, io.ksm4j.ffm.FfmBackendProvider, io.ksm4j.ffm",
        "jna, io.ksm4j.jna.JnaBackendProvider, com.sun.jna",
        "jnr, io.ksm4j.jnr.JnrBackendProvider, org.jnrproject.jffi"
    })
    void onThisJdk(String backend, String provider, String nativeModule) throws Exception {
        assertBackendWorks(
                Path.of(System.getProperty("java.home")), backend, provider, "--enable-native-access=" + nativeModule);
    }

    @ParameterizedTest
    @CsvSource({"jna, io.ksm4j.jna.JnaBackendProvider", "jnr, io.ksm4j.jnr.JnrBackendProvider"})
    void onJdk17(String backend, String provider) throws Exception {
        assertBackendWorks(jdk17(), backend, provider);
    }

    private void assertBackendWorks(Path jdk, String backend, String provider, String... options) throws Exception {
        Path program = Files.writeString(folder.resolve("Program.java"), PROGRAM);
        List<String> command = new ArrayList<>(List.of(
                jdk.resolve("bin/java").toString(),
                "--module-path",
                modulePath(Class.forName(provider)),
                "--add-modules",
                "io.ksm4j." + backend));
        command.addAll(List.of(options));
        command.add(program.toString());
        Path output = folder.resolve("output");
        Process child = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(output.toFile())
                .start();
        try {
            assertThat(child.waitFor(60, TimeUnit.SECONDS)).as("ends").isTrue();
        } finally {
            child.destroyForcibly();
        }
        assertThat(output).hasContent("module io.ksm4j\nbackend " + backend + "\nunmarked []\nmergeable " + (1 << 20));
        assertThat(child.exitValue()).isZero();
    }

    /** The API, one backend, and of everything else on the class path what that backend needs. */
    private static String modulePath(Class<?> provider) {
        Stream<Path> needed = switch (provider.getPackageName()) {
            case "io.ksm4j.jna" -> jars("jna-");
            case "io.ksm4j.jnr" -> jars("jnr-", "jffi-", "asm-");
            default -> Stream.of();
        };
        return Stream.concat(Stream.of(Ksm.class, provider).map(ModuleBoundariesTest::locationOf), needed)
                .map(Path::toString)
                .distinct()
                .reduce((left, right) -> left + File.pathSeparator + right)
                .orElseThrow();
    }

    private static Stream<Path> jars(String... prefixes) {
        String classPath = ChildJvm.classPath();
        return Arrays.stream(classPath.split(File.pathSeparator, -1))
                .map(Path::of)
                .filter(jar -> Arrays.stream(prefixes)
                        .anyMatch(prefix -> jar.getFileName().toString().startsWith(prefix)));
    }

    /** Looks where the build does: the environment, the path, and beside the JDK that runs this. */
    private static Path jdk17() throws IOException {
        Stream<Path> named = Stream.of("JAVA17_HOME", "JAVA_HOME")
                .map(System::getenv)
                .filter(Objects::nonNull)
                .map(Path::of);
        List<Path> candidates = new ArrayList<>(named.toList());
        for (String bin : System.getenv().getOrDefault("PATH", "").split(File.pathSeparator, -1)) {
            Path java = Path.of(bin, "java");
            if (Files.isExecutable(java)) {
                candidates.add(java.toRealPath().getParent().getParent());
            }
        }
        try (Stream<Path> siblings = Files.list(
                Path.of(System.getProperty("java.home")).toAbsolutePath().getParent())) {
            candidates.addAll(siblings.toList());
        }
        for (Path candidate : candidates) {
            Path release = candidate.resolve("release");
            if (Files.isExecutable(candidate.resolve("bin/javac"))
                    && Files.isReadable(release)
                    && Files.readString(release).contains("JAVA_VERSION=\"17")) {
                return candidate;
            }
        }
        return abort("no JDK 17 in JAVA17_HOME, JAVA_HOME, PATH or beside " + System.getProperty("java.home"));
    }
}
