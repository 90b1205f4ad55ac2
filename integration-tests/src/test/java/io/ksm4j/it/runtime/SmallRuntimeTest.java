// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.Ksm;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.Javac;
import io.ksm4j.it.fixtures.Jdk17;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.testsupport.JavaCommand;
import io.ksm4j.testsupport.TestLength;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** ksm4j works in a Java runtime without {@code java.management} and {@code jdk.jfr}. */
@Aside
@EnabledIfKsm
class SmallRuntimeTest {

    private static final String PROGRAM = """
            import io.ksm4j.*;
            import java.nio.ByteBuffer;

            class Program {
                public static void main(String[] arguments) throws Exception {
                    Ksm ksm = Ksm.system();
                    MergeRegion region = ksm.allocate(1 << 20, RegionOptions.DEFAULT.withName("prices"));
                    region.buffer().put(0, (byte) 1);
                    region.markUnmergeable(0, ksm.pageSize());
                    region.markMergeable();
                    System.out.println("unmarked " + region.unmarkedRanges());
                    System.out.println("resident " + region.stats().residentBytes() / ksm.pageSize());
                    System.out.println("modules " + ModuleLayer.boot().modules().size());
                    region.close();
                    ksm.adopt(ByteBuffer.allocateDirect(1 << 20)).close();
                    for (Thread thread : Thread.getAllStackTraces().keySet()) {
                        // The work that is done half a second after the start.
                        if (thread.getName().startsWith("ksm4j-")) {
                            thread.join();
                        }
                    }
                    ksm.allocate(1 << 20).close();
                    System.out.println(ksm.backend() + " has " + ksm.registry().openRegions() + " open regions");
                }
            }
            """;

    @TempDir
    private Path directory;

    @Tag("long")
    @Test
    void ksm4jWorksWithoutJmxAndFlightRecorder() throws Exception {
        Path runtime = link(Path.of(System.getProperty("java.home")));
        // jnr-ffi needs more modules than these.
        for (String backend : TestLength.isLong() ? List.of("ffm", "jna") : List.of("ffm")) {
            assertWorks(runtime, backend, "--enable-native-access=ALL-UNNAMED");
        }
    }

    @Tag("long")
    @Test
    void allIsWellOnJdk17() throws Exception {
        assertWorks(link(Jdk17.home()), "jna");
    }

    private Path link(Path jdk) throws IOException, InterruptedException {
        Path jlink = jdk.resolve("bin/jlink");
        assumeTrue(Files.isExecutable(jlink), jdk + " has no jlink");
        Path runtime = directory.resolve("runtime");
        Path output = directory.resolve("jlink.log");
        int status = new ProcessBuilder(
                        jlink.toString(), "--add-modules", "java.base,java.logging", "--output", runtime.toString())
                .redirectErrorStream(true)
                .redirectOutput(output.toFile())
                .start()
                .waitFor();
        String told = Files.readString(output);
        if (status != 0 && !Files.exists(jdk.resolve("jmods"))) {
            return abort(jdk + " has no jmods, and cannot be linked without: " + told);
        }
        assertThat(status).as(told).isZero();
        return runtime;
    }

    private void assertWorks(Path runtime, String backend, String... options) throws IOException {
        Path source = Files.writeString(directory.resolve("Program.java"), PROGRAM);
        Path classes = directory.resolve("classes");
        Javac.compile(source, JavaCommand.classPath(), classes);
        List<String> arguments = new ArrayList<>(JavaCommand.SHORT_LIVED);
        arguments.addAll(List.of(options));
        arguments.addAll(List.of("-D" + Ksm.BACKEND_PROPERTY + "=" + backend));
        arguments.addAll(List.of("-cp", JavaCommand.classPath() + ":" + classes, "Program"));
        ChildJvm child = ChildJvm.run(runtime, arguments).assertEndedWell();
        assertThat(child.output().lines())
                .containsExactly("unmarked []", "resident 1", "modules 2", backend + " has 0 open regions");
    }
}
