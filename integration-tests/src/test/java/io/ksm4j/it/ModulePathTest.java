package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.test.KsmKernel;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
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
        assertBackendWorks(Jdk17.home(), backend, provider);
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
}
