// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.registry;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.it.fixtures.Smaps;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.testsupport.TestLength;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Registry and kernel agree if a buffer that cannot be revoked is adopted while its region is being closed. */
@EnabledIfKsm
@Tag("long")
class AdoptWhileClosingTest {

    private static final int ROUNDS = TestLength.times(4);
    private static final int REGIONS = 100;

    /** A reference to a buffer, which keeps its address mapped. */
    private record Left(ByteBuffer buffer, long address, List<MergeRegion> adopted) {}

    @ParameterizedTest
    @ValueSource(strings = {"jna", "jnr"})
    void registryAndKernelAgree(String backend) throws Exception {
        Ksm ksm = Ksm.with(TestedBackends.open(backend));
        try (ExecutorService closing = Executors.newSingleThreadExecutor()) {
            for (int round = 0; round < ROUNDS; round++) {
                List<Left> left = new ArrayList<>();
                for (int i = 0; i < REGIONS; i++) {
                    left.add(adoptWhileClosing(ksm, closing, i));
                }
                assertAgree(ksm, left);
                left.forEach(each -> each.adopted().forEach(MergeRegion::close));
                assertAgree(ksm, left);
                // Before too many addresses stay mapped.
                System.gc();
            }
        }
    }

    private static Left adoptWhileClosing(Ksm ksm, ExecutorService closing, int spins) throws Exception {
        MergeRegion region = ksm.allocate(16 * ksm.pageSize());
        ByteBuffer buffer = region.buffer();
        CyclicBarrier start = new CyclicBarrier(2);
        Future<?> closed = closing.submit(() -> {
            start.await();
            region.close();
            return null;
        });
        start.await(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        for (int i = 0; i < 10 * spins; i++) {
            Thread.onSpinWait();
        }
        List<MergeRegion> adopted = new ArrayList<>();
        try {
            adopted.add(ksm.adopt(buffer, RegionOptions.DEFAULT.withVerify(spins % 2 == 0)));
        } catch (IllegalStateException | KsmException tooLate) {
            // The memory is unmapped with its region.
        }
        closed.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        return new Left(buffer, region.address(), adopted);
    }

    private static void assertAgree(Ksm ksm, List<Left> left) {
        Smaps smaps = Smaps.read();
        assertThat(left)
                .allSatisfy(each -> assertThat(smaps.isMergeable(each.address()))
                        .isEqualTo(ksm.registry().isMergeable(each.address())));
    }
}
