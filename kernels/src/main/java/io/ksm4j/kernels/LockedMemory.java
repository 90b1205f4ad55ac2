// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.spi.KsmBackend;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Before Linux 5.18, no advice drops memory that mlock(2) keeps resident. */
@OnlyIn(Situation.PLAIN)
@EnabledIfKsm
final class LockedMemory {

    private static final int PAGES = 4;

    private static final Map<String, Long> MLOCK =
            Map.of("amd64", 149L, "aarch64", 228L, "riscv64", 228L, "ppc64le", 150L);

    @Test
    void aLockedRegionClosesAndItsBytesAreGone() throws IOException {
        Long mlock = MLOCK.get(System.getProperty("os.arch"));
        assumeTrue(mlock != null, "the number of mlock(2) is not known for this processor");
        for (KsmBackend backend : Backend.usable().values()) {
            Ksm ksm = Backend.ksm(backend.name());
            MergeRegion region = ksm.allocate(PAGES * ksm.pageSize());
            long address = region.address();
            ByteBuffer view = region.buffer();
            while (view.hasRemaining()) {
                view.put((byte) 42);
            }
            assertThat(backend.syscall(mlock, address, region.size(), 0, 0, 0)).isZero();

            assertThat(readable(address, (int) region.size()))
                    .as("before, by %s", backend.name())
                    .containsOnly(42);

            region.close();

            assertThat(region.isOpen()).isFalse();
            assertThat(readable(address, (int) region.size()))
                    .as(backend.name())
                    .doesNotContain(42);
            assertThat(ksm.registry().isMergeable(address)).isFalse();
        }
    }

    /** Returns the bytes at an address whatever their protection, or empty if nothing is mapped. */
    private static byte[] readable(long address, int length) throws IOException {
        try (RandomAccessFile memory = new RandomAccessFile("/proc/self/mem", "r")) {
            memory.seek(address);
            byte[] bytes = new byte[length];
            try {
                memory.readFully(bytes);
            } catch (IOException e) {
                return new byte[0];
            }
            return bytes;
        }
    }
}
