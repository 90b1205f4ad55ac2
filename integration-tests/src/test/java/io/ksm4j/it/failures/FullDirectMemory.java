// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.KsmUnsupportedException;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.it.fixtures.Smaps;
import io.ksm4j.it.fixtures.TestedBackends;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** The child JVM of {@link FullDirectMemoryTest}: calls everything after it has used up its direct memory. */
final class FullDirectMemory {

    private static final long SIZE = 64 << 10;

    private final Ksm ksm;
    private final MergeRegion first;
    private final MergeRegion second;
    private final MergeRegion adopted;

    private FullDirectMemory(String backend) {
        ksm = Ksm.with(TestedBackends.open(backend));
        first = ksm.allocate(SIZE);
        second = ksm.allocate(SIZE);
        adopted = ksm.adopt(ByteBuffer.allocateDirect(128 << 10));
        // Closing it unmarks two ranges.
        adopted.markUnmergeable(8 * ksm.pageSize(), ksm.pageSize());
    }

    public static void main(String[] arguments) throws Exception {
        List<FullDirectMemory> tests =
                TestedBackends.NAMES.stream().map(FullDirectMemory::new).toList();
        List<ByteBuffer> full = new ArrayList<>();
        for (int size : List.of(1 << 18, 1 << 12, 64, 1)) {
            try {
                while (true) {
                    full.add(ByteBuffer.allocateDirect(size));
                }
            } catch (OutOfMemoryError noMore) {
                assertThat(noMore).hasMessageContaining("direct buffer memory");
            }
        }
        tests.forEach(FullDirectMemory::callEverything);
        assertThat(full).isNotEmpty();
        full.clear();
        // Reading the file needs direct memory.
        System.gc();
        Smaps smaps = Smaps.read();
        for (FullDirectMemory test : tests) {
            test.assertRegistryMatches(smaps);
        }
        assertThat(Ksm.system().registry().openRegions()).isEqualTo(2L * tests.size());
    }

    private void callEverything() {
        ksm.allocate(SIZE).close();
        try (MergeRegion named = ksm.allocate(SIZE, RegionOptions.DEFAULT.withName("prices"))) {
            assertThat(named.unmarkedRanges()).isEmpty();
        }
        List<MergeRegion> both = List.of(first, second);
        ksm.markUnmergeable(both);
        assertThat(ksm.registry().isMergeable(first.address())).isFalse();
        ksm.markMergeable(both);
        assertThat(ksm.stats(both)).hasSize(2);
        first.buffer().put(0, (byte) 1);
        first.markUnmergeable(ksm.pageSize(), ksm.pageSize());
        try {
            ksm.process().markMergeable();
            ksm.process().markUnmergeable();
        } catch (KsmUnsupportedException e) {
            assertThat(e).hasMessageContaining("PR_SET_MEMORY_MERGE");
        }
        adopted.close();
    }

    private void assertRegistryMatches(Smaps smaps) {
        assertThat(adopted.isOpen()).isFalse();
        for (MergeRegion region : List.of(first, second, adopted)) {
            for (long at = region.address(); at < region.range().end(); at += ksm.pageSize()) {
                assertThat(smaps.isMergeable(at))
                        .as("%s at %x", ksm.backend(), at)
                        .isEqualTo(ksm.registry().isMergeable(at));
            }
        }
        assertThat(smaps.isMergeable(second.address())).isTrue();
    }
}
