// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.backends;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.awaitility.Awaitility.await;

import com.sun.management.ThreadMXBean;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import jdk.jfr.Recording;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

class HotPathTest {

    private static final int ROUNDS = 5_000;

    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    /**
     * If this process has merged pages, ksm4j checks the headroom after every 4 MiB that are unmarked. The merged pages
     * of other tests in this JVM are freed, but ksmd may still count them.
     */
    @BeforeAll
    static void nothingIsMerged() throws IOException {
        Path merging = Path.of("/proc/self/ksm_merging_pages");
        if (!Files.exists(merging) || Files.readString(merging).equals("0\n")) {
            return;
        }
        try (RunningKsmd ksmd = RunningKsmd.start()) {
            await().atMost(PATIENCE).until(() -> {
                ksmd.awaitFullScans(1);
                return Files.readString(merging).equals("0\n");
            });
        }
    }

    /** Marks through the public API and the registry. The interpreter may allocate; compiled code must not. */
    @ParameterizedTest
    @FieldSource("io.ksm4j.it.fixtures.TestedBackends#NAMES")
    @EnabledIfKsm
    void compiledMarkingAllocatesNothing(String backend) {
        assertAllocatesNothing(backend);
    }

    /** While a recording runs, the classes of the events check whether they are enabled. */
    @Test
    @EnabledIfKsm
    void markingAllocatesNothingWhileARecordingRunsWithoutItsEvent() {
        try (Recording recording = new Recording()) {
            recording.enable("jdk.JVMInformation");
            recording.disable("io.ksm4j.Mark");
            recording.disable("io.ksm4j.Unmark");
            recording.start();
            assertAllocatesNothing("ffm");
        }
    }

    private static void assertAllocatesNothing(String backend) {
        Ksm ksm = Ksm.with(TestedBackends.open(backend));
        try (MergeRegion region = ksm.allocate(64 << 10)) {
            await(backend + " marks without allocating")
                    .atMost(PATIENCE)
                    .pollInSameThread()
                    .pollDelay(Duration.ZERO)
                    .until(() -> allocatedBy(region), bytes -> bytes == 0);
        }
    }

    private static long allocatedBy(MergeRegion region) {
        long before = THREADS.getCurrentThreadAllocatedBytes();
        for (int i = 0; i < ROUNDS; i++) {
            region.markUnmergeable();
            region.markMergeable();
        }
        return THREADS.getCurrentThreadAllocatedBytes() - before;
    }
}
