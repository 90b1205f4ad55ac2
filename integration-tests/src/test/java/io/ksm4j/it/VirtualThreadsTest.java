package io.ksm4j.it;

import io.ksm4j.Ksm;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.testsupport.TestLength;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Virtual threads come to an end, also where a monitor pins their carrier, as before JDK 24, and where the heap is nearly full. */
@Aside
@EnabledIfKsm
@Tag("long")
class VirtualThreadsTest {

    /** {@code LockingMode} 1 pins as earlier versions do; a later JVM may not know it any more. */
    @ParameterizedTest
    @CsvSource({"ffm, 1", "jna, 2"})
    void noneWaitsForEver(String backend, int lockingMode) {
        List<String> options = List.of(
                "-XX:+UnlockDiagnosticVMOptions",
                "-XX:+IgnoreUnrecognizedVMOptions",
                "-XX:LockingMode=" + lockingMode,
                "-Xmx256m",
                "-Djdk.virtualThreadScheduler.parallelism=2",
                "-D" + Ksm.BACKEND_PROPERTY + "=" + backend);
        ChildJvm.run(VirtualThreads.class, options, Integer.toString(TestLength.times(20_000)))
                .assertEndedWell();
    }
}
