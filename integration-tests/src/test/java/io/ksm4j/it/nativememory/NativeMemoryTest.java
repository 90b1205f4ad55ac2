// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.nativememory;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.JavaCommand;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** {@code NativeMemory.adopt} marks the memory of libraries, follows it, and marks nothing else. */
@Aside
@EnabledIfKsm
class NativeMemoryTest {

    private static final Path JAVA_HOME = Path.of(System.getProperty("java.home"));

    /** The collectors that this JDK has. */
    static Stream<String> collectors() {
        String flags = EndedProcess.run(
                        List.of(JAVA_HOME.resolve("bin/java").toString(), "-XX:+PrintFlagsFinal", "-version"))
                .output();
        return Stream.of("G1", "Parallel", "Serial", "Z", "Shenandoah")
                .filter(name -> flags.contains(" Use" + name + "GC "));
    }

    @ParameterizedTest
    @MethodSource("collectors")
    void onlyMemoryOfLibrariesIsMarked(String collector) {
        assertThat(collectors()).contains("G1", "Parallel", "Serial");

        run("-XX:+Use" + collector + "GC", LibraryMemory.Case.ONLY_LIBRARIES);
    }

    @ParameterizedTest
    @EnumSource(value = LibraryMemory.Case.class, mode = EnumSource.Mode.EXCLUDE, names = "ONLY_LIBRARIES")
    void marksFollowTheMemory(LibraryMemory.Case scenario) {
        run("-XX:+UseSerialGC", scenario);
    }

    private static void run(String collector, LibraryMemory.Case scenario) {
        List<String> arguments = new ArrayList<>(List.of("-Xmx256m", "-ea", "--enable-native-access=ALL-UNNAMED"));
        arguments.add(collector);
        arguments.addAll(List.of("-cp", JavaCommand.classPath(), LibraryMemory.class.getName(), scenario.name()));
        ChildJvm.run(JAVA_HOME, PATIENCE, arguments).assertEndedWell();
    }
}
