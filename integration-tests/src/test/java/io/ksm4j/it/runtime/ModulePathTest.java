// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.runtime;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.arrow.MergeableMemory;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.CodeLocation;
import io.ksm4j.it.fixtures.EnabledIfKsmIsShown;
import io.ksm4j.it.fixtures.Javac;
import io.ksm4j.it.fixtures.Jdk17;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.micrometer.KsmMetrics;
import io.ksm4j.testsupport.JavaCommand;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Each backend, ksm-arrow and ksm-micrometer work as named modules, in a child JVM. */
@Aside
@EnabledIfKsm
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

    private static final String PROGRAM_WITH_METRICS = """
            import io.ksm4j.micrometer.*;
            import io.micrometer.core.instrument.*;
            import io.micrometer.core.instrument.simple.*;

            class Program {
                public static void main(String[] arguments) {
                    MeterRegistry registry = new SimpleMeterRegistry();
                    new KsmMetrics().bindTo(registry);
                    Gauge saved = registry.get("ksm.kernel.saved").gauge();
                    System.out.println("module " + KsmMetrics.class.getModule().getName());
                    System.out.println("saved " + (saved.value() >= 0));
                    System.out.println(saved.getId().getBaseUnit());
                }
            }
            """;

    private static final String PROGRAM_WITH_ARROW = """
            import io.ksm4j.*;
            import io.ksm4j.arrow.*;
            import org.apache.arrow.memory.*;

            class Program {
                public static void main(String[] arguments) {
                    try (MergeableMemory memory = MergeableMemory.of(Ksm.fallback());
                            RootAllocator allocator = new RootAllocator(
                                    RootAllocator.configBuilder().allocationManagerFactory(memory).build());
                            ArrowBuf buffer = allocator.buffer(5000)) {
                        buffer.setLong(4992, 42);
                        System.out.println("module " + MergeableMemory.class.getModule().getName());
                        System.out.println("module " + ArrowBuf.class.getModule().getName());
                        System.out.println("value " + buffer.getLong(4992));
                        System.out.println("buffers " + memory.stats().buffers());
                    }
                }
            }
            """;

    @TempDir
    private Path directory;

    @ParameterizedTest
    @CsvSource({
        "ffm, io.ksm4j.ffm.FfmBackendProvider, io.ksm4j.ffm",
        "jna, io.ksm4j.jna.JnaBackendProvider, com.sun.jna",
        "jnr, io.ksm4j.jnr.JnrBackendProvider, org.jnrproject.jffi"
    })
    void backendsWorkOnThisJdk(String backend, String provider, String nativeModule) throws Exception {
        assertBackendWorks(
                Path.of(System.getProperty("java.home")), backend, provider, "--enable-native-access=" + nativeModule);
    }

    @Tag("long")
    @ParameterizedTest
    @CsvSource({"jna, io.ksm4j.jna.JnaBackendProvider", "jnr, io.ksm4j.jnr.JnrBackendProvider"})
    void onJdk17(String backend, String provider) throws Exception {
        assertBackendWorks(Jdk17.home(), backend, provider);
    }

    @EnabledIfKsmIsShown
    @Test
    void metricsWorkOnThisJdk() throws Exception {
        assertMetricsWork(Path.of(System.getProperty("java.home")));
    }

    @Tag("long")
    @EnabledIfKsmIsShown
    @Test
    void metricsOnJdk17() throws Exception {
        assertMetricsWork(Jdk17.home());
    }

    @Test
    void arrowWorksOnThisJdk() throws Exception {
        assertOutput(
                "module io.ksm4j.arrow\nmodule org.apache.arrow.memory.core\nvalue 42\nbuffers 1",
                PROGRAM_WITH_ARROW,
                Path.of(System.getProperty("java.home")),
                MergeableMemory.class,
                "--add-modules=org.apache.arrow.memory.unsafe",
                "--add-opens=java.base/java.nio=org.apache.arrow.memory.core",
                "--sun-misc-unsafe-memory-access=allow",
                "-Dslf4j.internal.verbosity=ERROR");
    }

    private void assertBackendWorks(Path jdk, String backend, String provider, String... options) throws Exception {
        assertOutput(
                "module io.ksm4j\nbackend " + backend + "\nunmarked []\nmergeable " + (1 << 20),
                PROGRAM,
                jdk,
                Class.forName(provider),
                options);
    }

    private void assertMetricsWork(Path jdk) throws Exception {
        assertOutput("module io.ksm4j.micrometer\nsaved true\nbytes", PROGRAM_WITH_METRICS, jdk, KsmMetrics.class);
    }

    /** Runs a program with the module of a type. The module is named like the package of the type. */
    private void assertOutput(String expected, String source, Path jdk, Class<?> type, String... options)
            throws Exception {
        Javac.compile(Files.writeString(directory.resolve("Program.java"), source), JavaCommand.classPath(), directory);
        List<String> command = new ArrayList<>(List.of(
                jdk.resolve("bin/java").toString(),
                "--module-path",
                modulePath(type),
                "--add-modules",
                type.getPackageName()));
        command.addAll(JavaCommand.SHORT_LIVED);
        command.addAll(List.of(options));
        command.addAll(List.of("-cp", directory.toString(), "Program"));
        Path output = directory.resolve("output");
        Process child = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(output.toFile())
                .start();
        try {
            assertThat(child.waitFor(PATIENCE)).as("child exits").isTrue();
        } finally {
            child.destroyForcibly();
        }
        assertThat(output).hasContent(expected);
        assertThat(child.exitValue()).isZero();
    }

    /** Returns the API, the module of a type, and the other dependencies of that module. */
    private static String modulePath(Class<?> type) {
        Stream<Path> needed = switch (type.getPackageName()) {
            case "io.ksm4j.jna" -> jars("jna-");
            case "io.ksm4j.jnr" -> jars("jnr-", "jffi-", "asm-");
            case "io.ksm4j.arrow" -> jars("arrow-memory-", "slf4j-api-");
            case "io.ksm4j.micrometer" -> jars("micrometer-core-", "micrometer-commons-", "micrometer-observation-");
            default -> Stream.of();
        };
        return Stream.concat(Stream.of(Ksm.class, type).map(CodeLocation::of), needed)
                .map(Path::toString)
                .distinct()
                .reduce((left, right) -> left + File.pathSeparator + right)
                .orElseThrow();
    }

    private static Stream<Path> jars(String... prefixes) {
        String classPath = JavaCommand.classPath();
        return Arrays.stream(classPath.split(File.pathSeparator, -1))
                .map(Path::of)
                .filter(jar -> Arrays.stream(prefixes)
                        .anyMatch(prefix -> jar.getFileName().toString().startsWith(prefix)));
    }
}
