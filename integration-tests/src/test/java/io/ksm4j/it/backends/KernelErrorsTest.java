// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.backends;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.AddressRange;
import io.ksm4j.FailedCall;
import io.ksm4j.InvalidRangeException;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MemoryLimitExceededException;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.UnmappedRangeException;
import io.ksm4j.it.fixtures.Mappings;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.ServiceLoader;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The kernel's answers to bad ranges through each backend, and the exceptions of the library. */
@EnabledIfKsm
class KernelErrorsTest {

    private static final int MADV_MERGEABLE = 12;
    private static final int MADV_UNMERGEABLE = 13;
    private static final int EINVAL = 22;
    private static final int ENOMEM = 12;

    private static final RegionOptions UNMARKED = RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE);

    static Stream<KsmBackend> backends() {
        return ServiceLoader.load(KsmBackendProvider.class).stream()
                .map(provider -> provider.get().open());
    }

    /** Ten private pages with two holes, of two pages and of one. */
    private record Holed(KsmBackend backend, AddressRange range) implements AutoCloseable {

        static Holed map(KsmBackend backend) {
            long page = backend.pageSize();
            // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
            AddressRange range = new AddressRange(backend.mmap(10 * page, 3, 0x22), 10 * page);
            assertThat(backend.munmap(range.start() + 2 * page, 2 * page)).isZero();
            assertThat(backend.munmap(range.start() + 6 * page, page)).isZero();
            return new Holed(backend, range);
        }

        AddressRange pages(int from, int to) {
            long page = backend.pageSize();
            return new AddressRange(range.start() + from * page, (to - from) * page);
        }

        List<AddressRange> holes() {
            return List.of(pages(2, 4), pages(6, 7));
        }

        List<AddressRange> mapped() {
            return List.of(pages(0, 2), pages(4, 6), pages(7, 10));
        }

        @Override
        public void close() {
            backend.munmap(range.start(), range.length());
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void theKernelAdvisesTheMappedPartsOfARangeWithHoles(KsmBackend backend) {
        try (Holed memory = Holed.map(backend)) {
            AddressRange range = memory.range();
            assertThat(backend.madvise(range.start(), range.length(), MADV_MERGEABLE))
                    .isEqualTo(-ENOMEM);
            assertThat(Mappings.mergeable(range)).isEqualTo(memory.mapped());
            assertThat(backend.madvise(range.start(), range.length(), MADV_UNMERGEABLE))
                    .isEqualTo(-ENOMEM);
            assertThat(Mappings.mergeable(range)).isEmpty();
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void theKernelRefusesImpossibleRanges(KsmBackend backend) {
        long page = backend.pageSize();
        try (Holed memory = Holed.map(backend)) {
            long start = memory.range().start();
            assertThat(backend.madvise(start + 1, page, MADV_MERGEABLE))
                    .as("misaligned")
                    .isEqualTo(-EINVAL);
            assertThat(backend.madvise(start, -page, MADV_MERGEABLE))
                    .as("wraps around")
                    .isEqualTo(-EINVAL);
            assertThat(backend.madvise(-2 * page, page, MADV_MERGEABLE))
                    .as("in the kernel's half")
                    .isLessThan(0);
            assertThat(backend.munmap(start + 1, page)).as("misaligned").isEqualTo(-EINVAL);
            assertThat(backend.mprotect(start + 1, page, 0)).as("misaligned").isEqualTo(-EINVAL);
            assertThat(backend.mmap(0, 3, 0x22)).as("no bytes").isEqualTo(-EINVAL);
            assertThat(backend.mmap(Long.MAX_VALUE & -page, 3, 0x22))
                    .as("too much")
                    .isEqualTo(-ENOMEM);
            assertThat(Mappings.mergeable(memory.range())).isEmpty();
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void holesAreNamedAndNothingStaysMarked(KsmBackend backend) {
        Ksm ksm = Ksm.with(backend);
        long open = MergeRegistry.system().openRegions();
        long mergeable = MergeRegistry.system().mergeableBytes();
        try (Holed memory = Holed.map(backend)) {
            AddressRange range = memory.range();
            UnmappedRangeException adopting =
                    catchThrowableOfType(UnmappedRangeException.class, () -> ksm.adopt(range.start(), range.length()));
            assertNames(adopting, memory);

            try (MergeRegion region = ksm.adopt(range.start(), range.length(), UNMARKED)) {
                assertNames(catchThrowableOfType(UnmappedRangeException.class, region::markMergeable), memory);
                assertThat(region.isMergeable()).isFalse();
                region.markMergeable(0, 2 * backend.pageSize());
                assertThat(Mappings.mergeable(range)).containsExactly(memory.pages(0, 2));
                assertNames(catchThrowableOfType(UnmappedRangeException.class, region::markMergeable), memory);
                assertThat(Mappings.mergeable(range)).as("as before").containsExactly(memory.pages(0, 2));
            }
            assertThat(Mappings.mergeable(range)).isEmpty();
        }
        assertThat(MergeRegistry.system().openRegions()).isEqualTo(open);
        assertThat(MergeRegistry.system().mergeableBytes()).isEqualTo(mergeable);
    }

    private static void assertNames(UnmappedRangeException failure, Holed memory) {
        assertThat(failure.gaps()).isEqualTo(memory.holes());
        FailedCall call = failure.failedCall().orElseThrow();
        assertThat(call.name()).isEqualTo("madvise(MADV_MERGEABLE)");
        assertThat(call.errnoName()).isEqualTo("ENOMEM");
        assertThat(call.range()).hasValue(memory.range());
        assertThat(failure)
                .hasMessageContaining(memory.holes().get(0).toString())
                .hasMessageContaining(memory.holes().get(1).toString())
                .hasMessageContaining("adopt the mapped parts separately");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void anUnmarkWithAHoleIsUndoneAndReported(KsmBackend backend) {
        try (Holed memory = Holed.map(backend)) {
            AddressRange range = memory.pages(7, 10);
            try (MergeRegion region = Ksm.with(backend).adopt(range.start(), range.length())) {
                assertThat(backend.munmap(memory.pages(8, 9).start(), backend.pageSize()))
                        .isZero();
                UnmappedRangeException unmarking =
                        catchThrowableOfType(UnmappedRangeException.class, region::markUnmergeable);
                assertThat(unmarking.gaps()).containsExactly(memory.pages(8, 9));
                assertThat(unmarking)
                        .hasMessageContaining("the mapped rest is unchanged")
                        .hasMessageContaining("unmark the mapped parts separately");
                assertThat(region.isMergeable()).isTrue();
                assertThat(Mappings.mergeable(memory.range())).containsExactly(memory.pages(7, 8), memory.pages(9, 10));
            }
            assertThat(Mappings.mergeable(memory.range())).isEmpty();
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void whereNothingIsMappedTheMessageNamesNoParts(KsmBackend backend) {
        Ksm ksm = Ksm.with(backend);
        try (Holed memory = Holed.map(backend)) {
            AddressRange hole = memory.holes().get(0);
            UnmappedRangeException adopting =
                    catchThrowableOfType(UnmappedRangeException.class, () -> ksm.adopt(hole.start(), hole.length()));
            assertThat(adopting.gaps()).containsExactly(hole);
            assertThat(adopting).hasMessageContaining("check the address").hasMessageNotContaining("rest");
            try (MergeRegion region = ksm.adopt(hole.start(), hole.length(), UNMARKED)) {
                UnmappedRangeException unmarking =
                        catchThrowableOfType(UnmappedRangeException.class, region::markUnmergeable);
                assertThat(unmarking.gaps()).containsExactly(hole);
                assertThat(unmarking).hasMessageContaining("close the region").hasMessageNotContaining("rest");
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void aHoleInOneOfManyRegionsLeavesAllAsTheyWere(KsmBackend backend) {
        Ksm ksm = Ksm.with(backend);
        long page = backend.pageSize();
        try (Holed memory = Holed.map(backend);
                MergeRegion first = ksm.allocate(4 * page, UNMARKED);
                MergeRegion holed = ksm.adopt(memory.range().start(), 10 * page, UNMARKED);
                MergeRegion last = ksm.allocate(4 * page, UNMARKED)) {
            List<MergeRegion> regions = List.of(first, holed, last);
            assertNames(catchThrowableOfType(UnmappedRangeException.class, () -> ksm.markMergeable(regions)), memory);
            assertThat(regions).noneMatch(MergeRegion::isMergeable);
            for (MergeRegion region : regions) {
                assertThat(Mappings.mergeable(region.range())).isEmpty();
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void impossibleRangesAreRefusedWithoutACallToTheKernel(KsmBackend backend) {
        Ksm ksm = Ksm.with(backend);
        long page = backend.pageSize();
        long open = MergeRegistry.system().openRegions();
        for (AddressOf bad : List.of(
                new AddressOf(Long.MAX_VALUE - page, 2 * page),
                new AddressOf(-2 * page, page),
                new AddressOf(Long.MIN_VALUE, page),
                new AddressOf(16 * page + 1, 2 * page - 2),
                new AddressOf(16 * page, page - 1))) {
            assertThatThrownBy(() -> ksm.adopt(bad.start(), bad.length()))
                    .as("%s", bad)
                    .isInstanceOfSatisfying(
                            InvalidRangeException.class,
                            refused -> assertThat(refused.failedCall()).isEmpty());
        }
        assertThat(MergeRegistry.system().openRegions()).isEqualTo(open);
    }

    /** A range that {@link AddressRange} rejects. */
    private record AddressOf(long start, long length) {}

    @ParameterizedTest
    @MethodSource("backends")
    void aMisalignedRangeMeansTheWholePagesInIt(KsmBackend backend) {
        long page = backend.pageSize();
        try (Holed memory = Holed.map(backend);
                MergeRegion region = Ksm.with(backend).adopt(memory.range().start() + 7 * page + 1, 3 * page - 2)) {
            assertThat(region.range()).isEqualTo(memory.pages(8, 9));
            assertThat(Mappings.mergeable(memory.range())).containsExactly(memory.pages(8, 9));
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void moreMemoryThanTheMachineHasIsReportedWithoutARetry(KsmBackend backend) throws IOException {
        long overcommit = number("/proc/sys/vm/overcommit_memory", "");
        assumeTrue(overcommit != 1, "the machine promises any amount");
        long memory = (number("/proc/meminfo", "MemTotal:") + number("/proc/meminfo", "SwapTotal:")) << 10;
        long limit = overcommit == 0 ? memory : number("/proc/meminfo", "CommitLimit:") << 10;
        Ksm ksm = Ksm.with(backend);

        MemoryLimitExceededException exceeded = catchThrowableOfType(
                MemoryLimitExceededException.class, () -> ksm.allocate(Math.max(memory, limit) + (1 << 20)));

        assertThat(exceeded).isNotNull();
        assertThat(exceeded.limitedBy()).as(exceeded.getMessage()).isEqualTo("vm.overcommit_memory");
        assertThat(exceeded.limitBytes()).isEqualTo(limit);
        assertThat(exceeded.mayRetry()).isFalse();
        assertThat(exceeded).hasMessageContaining("vm.overcommit_memory is " + overcommit);
    }

    private static long number(String file, String name) throws IOException {
        try (BufferedReader reader = Files.newBufferedReader(Path.of(file))) {
            return reader.lines()
                    .filter(line -> line.startsWith(name))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")))
                    .findFirst()
                    .orElseThrow();
        }
    }
}
