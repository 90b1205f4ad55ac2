package io.ksm4j.it;

import static org.awaitility.Awaitility.await;

import com.sun.management.ThreadMXBean;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.test.KsmKernel;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

class HotPathTest {

    private static final int ROUNDS = 5_000;

    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    /** Marking through the public API, registry included. The interpreter may allocate; compiled code must not. */
    @ParameterizedTest
    @FieldSource("io.ksm4j.it.BackendsUnderTest#NAMES")
    void markingAllocatesNothingOnceItIsCompiled(String backend) {
        KsmKernel.require();
        Ksm ksm = Ksm.with(BackendsUnderTest.open(backend));
        try (MergeRegion region = ksm.allocate(64 << 10)) {
            await(backend + " marks without allocating")
                    .atMost(Duration.ofSeconds(30))
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
