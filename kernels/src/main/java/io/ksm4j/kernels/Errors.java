// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.AddressRange;
import io.ksm4j.FailedCall;
import io.ksm4j.InvalidRangeException;
import io.ksm4j.Ksm;
import io.ksm4j.MarkNotTakenException;
import io.ksm4j.MemoryLimitExceededException;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.UnmappedRangeException;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tck.Mapping;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** A call that fails reports the cause, and changes nothing. */
@OnlyIn({Situation.PLAIN, Situation.READ_ONLY, Situation.HIDDEN})
@EnabledIfKsm
final class Errors {

    private static final int EINVAL = 22;
    private static final int MADV_MERGEABLE = 12;
    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_SHARED_ANONYMOUS = 0x21;
    private static final int MAP_PRIVATE_ANONYMOUS = 0x22;

    private final KsmBackend backend = Backend.any();
    private final Ksm ksm = Backend.ksm();
    private final long page = ksm.pageSize();
    private final MergeRegistry registry = MergeRegistry.system();
    private final long openBefore = registry.openRegions();
    private final long mergeableBefore = registry.mergeableBytes();

    @AfterEach
    void nothingIsLeftInTheRegistry() {
        assertThat(registry.openRegions()).isEqualTo(openBefore);
        assertThat(registry.mergeableBytes()).isEqualTo(mergeableBefore);
    }

    private AddressRange map(int pages, int flags) {
        return new AddressRange(backend.mmap(pages * page, PROT_READ_WRITE, flags), pages * page);
    }

    @Test
    void aHoleIsNamedAndTheRestIsNotMarked() {
        AddressRange range = map(5, MAP_PRIVATE_ANONYMOUS);
        AddressRange hole = new AddressRange(range.start() + 2 * page, page);
        assertThat(backend.munmap(hole.start(), page)).isZero();
        try {
            UnmappedRangeException failure =
                    catchThrowableOfType(UnmappedRangeException.class, () -> ksm.adopt(range.start(), range.length()));
            assertThat(failure.gaps()).containsExactly(hole);
            FailedCall call = failure.failedCall().orElseThrow();
            assertThat(call.name()).isEqualTo("madvise(MADV_MERGEABLE)");
            assertThat(call.errnoName()).isEqualTo("ENOMEM");
            assertThat(failure).hasMessageContaining(hole.toString());
            assertThat(failure.mayRetry()).isFalse();
            assertThat(Mapping.between(range.start(), range.end())).noneMatch(Mapping::isMergeable);
        } finally {
            backend.munmap(range.start(), 2 * page);
            backend.munmap(hole.end(), 2 * page);
        }
    }

    @Test
    void aSharedMappingIsReportedAsNotTaken() {
        AddressRange shared = map(3, MAP_SHARED_ANONYMOUS);
        try {
            MarkNotTakenException failure =
                    catchThrowableOfType(MarkNotTakenException.class, () -> ksm.adopt(shared.start(), shared.length()));
            assertThat(failure.ranges()).containsExactly(shared);
        } finally {
            backend.munmap(shared.start(), shared.length());
        }
    }

    @Test
    void whatIsTooLargeIsToldWithTheLimit() throws IOException {
        MemoryLimitExceededException addresses =
                catchThrowableOfType(MemoryLimitExceededException.class, () -> ksm.allocate(1L << 61));
        assertThat(addresses.limitedBy()).isEqualTo("address space");
        assertThat(addresses.mayRetry()).isFalse();

        try (BufferedReader overcommit = Files.newBufferedReader(Path.of("/proc/sys/vm/overcommit_memory"))) {
            assumeTrue("0".equals(overcommit.readLine()), "vm.overcommit_memory is not 0");
        }
        long memory = KernelFiles.memory("MemTotal") + KernelFiles.memory("SwapTotal");
        MemoryLimitExceededException commitment =
                catchThrowableOfType(MemoryLimitExceededException.class, () -> ksm.allocate(memory + (1 << 20)));
        assertThat(commitment.limitedBy()).isEqualTo("vm.overcommit_memory");
        assertThat(commitment.limitBytes()).isEqualTo(memory);
        assertThat(commitment.mayRetry()).isFalse();
    }

    @Test
    void onlyWholePagesAreMarked() {
        AddressRange range = map(4, MAP_PRIVATE_ANONYMOUS);
        try {
            assertThat(backend.madvise(range.start() + 1, page, MADV_MERGEABLE)).isEqualTo(-EINVAL);
            assertThatThrownBy(() -> ksm.adopt(range.start() + 1, page)).isInstanceOf(InvalidRangeException.class);
            try (MergeRegion region = ksm.adopt(range.start() + 1, 3 * page)) {
                assertThat(region.range()).isEqualTo(new AddressRange(range.start() + page, 2 * page));
                assertThat(Mapping.between(range.start(), range.end()).stream()
                                .filter(Mapping::isMergeable)
                                .mapToLong(mapping -> mapping.end() - mapping.start())
                                .sum())
                        .isEqualTo(2 * page);
                assertThatThrownBy(() -> region.markUnmergeable(1, page)).isInstanceOf(IllegalArgumentException.class);
            }
        } finally {
            backend.munmap(range.start(), range.length());
        }
    }

    @Test
    void aRegionThatIsClosedSaysSo() {
        MergeRegion region = ksm.allocate(page);
        region.close();
        assertThatThrownBy(region::markMergeable)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
        assertThatThrownBy(region::stats).isInstanceOf(IllegalStateException.class);
    }
}
