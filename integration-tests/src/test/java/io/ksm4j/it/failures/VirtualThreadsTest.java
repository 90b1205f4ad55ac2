// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import io.ksm4j.Ksm;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.Javac;
import io.ksm4j.it.fixtures.Jdk21;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.testsupport.JavaCommand;
import io.ksm4j.testsupport.TestLength;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Virtual threads do not hang, even if a monitor pins their carriers, as before JDK 24, or if the heap is nearly full.
 */
@Aside
@EnabledIfKsm
@Tag("long")
class VirtualThreadsTest {

    private static final List<String> OPTIONS = List.of("-Xmx256m", "-Djdk.virtualThreadScheduler.parallelism=2");

    private static final String THREADS = Integer.toString(TestLength.times(20_000));

    /** {@code LockingMode} 1 pins carriers as earlier versions do. Later JVMs may not have this option. */
    @ParameterizedTest
    @CsvSource({"ffm, 1", "jna, 2"})
    void noThreadHangs(String backend, int lockingMode) {
        List<String> options = new ArrayList<>(OPTIONS);
        options.addAll(List.of(
                "-XX:+UnlockDiagnosticVMOptions",
                "-XX:+IgnoreUnrecognizedVMOptions",
                "-XX:LockingMode=" + lockingMode,
                "-D" + Ksm.BACKEND_PROPERTY + "=" + backend));
        ChildJvm.run(VirtualThreads.class, options, THREADS).assertEndedWell();
    }

    @ParameterizedTest
    @Tag("jdk21")
    @ValueSource(strings = {"jna", "jnr"})
    void noThreadHangsOnJdk21(String backend, @TempDir Path classes) throws IOException {
        Path home = Jdk21.home();
        Javac.compile(21, Javac.source(VirtualThreads.class), JavaCommand.classPath(), classes);
        List<String> arguments = new ArrayList<>(OPTIONS);
        arguments.addAll(List.of(
                "-ea",
                "-D" + Ksm.BACKEND_PROPERTY + "=" + backend,
                "-cp",
                classes + File.pathSeparator + JavaCommand.classPath(),
                VirtualThreads.class.getName(),
                THREADS));
        ChildJvm.run(home, arguments).assertEndedWell();
    }
}
