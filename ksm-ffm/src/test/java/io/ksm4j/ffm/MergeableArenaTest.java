// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.ffm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MemoryLimitExceededException;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.spi.BufferMapping;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tck.Mapping;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class MergeableArenaTest {

    private static final Ksm KSM = Ksm.with(new FfmBackendProvider().open());
    private static final long PAGE = KSM.pageSize();

    private final MergeRegistry registry = MergeRegistry.system();
    private long openRegions;

    static Stream<Function<Ksm, MergeableArena>> kinds() {
        return Stream.of(MergeableArena::ofConfined, MergeableArena::ofShared);
    }

    @BeforeEach
    void countRegions() {
        openRegions = registry.openRegions();
    }

    @AfterEach
    void leaveNothingOpen() {
        assertThat(registry.openRegions()).isEqualTo(openRegions);
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void segmentsAreZeroedAndMergeable(Function<Ksm, MergeableArena> kind) {
        try (MergeableArena arena = kind.apply(KSM)) {
            for (long size : new long[] {1, PAGE - 1, PAGE, 10 * PAGE + 3}) {
                MemorySegment segment = arena.allocate(size);
                assertThat(segment.byteSize()).isEqualTo(size);
                assertThat(segment.address() % PAGE).isZero();
                assertThat(segment.mismatch(MemorySegment.ofArray(new byte[(int) size])))
                        .isEqualTo(-1);
                segment.set(ValueLayout.JAVA_BYTE, size - 1, (byte) 1);
                assertThat(Mapping.between(segment.address(), segment.address() + size))
                        .singleElement()
                        .matches(Mapping::isMergeable);
                assertThat(registry.isMergeable(segment.address())).isTrue();
                assertThat(segment.scope()).isEqualTo(arena.scope());
            }
            assertThat(registry.openRegions()).isEqualTo(openRegions + 4);
        }
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void segmentsHaveTheRequestedAlignment(Function<Ksm, MergeableArena> kind) {
        try (MergeableArena arena = kind.apply(KSM)) {
            for (long alignment : new long[] {1, 8, PAGE, 2 * PAGE, 1 << 20, 1 << 22}) {
                MemorySegment segment = arena.allocate(3 * PAGE, alignment);
                assertThat(segment.address() % alignment).isZero();
                assertThat(segment.address() % PAGE).isZero();
                segment.fill((byte) 1);
                assertThat(registry.isMergeable(segment.address() + segment.byteSize() - 1))
                        .isTrue();
            }
        }
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void anEmptySegmentTakesNoMemory(Function<Ksm, MergeableArena> kind) {
        try (MergeableArena arena = kind.apply(KSM)) {
            assertThat(arena.allocate(0).byteSize()).isZero();
            assertThat(arena.allocate(0).address() % PAGE).isZero();
            assertThat(registry.openRegions()).isEqualTo(openRegions);
        }
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void invalidArgumentsAreRefusedAndAllocateNothing(Function<Ksm, MergeableArena> kind) {
        try (MergeableArena arena = kind.apply(KSM)) {
            assertThatIllegalArgumentException().isThrownBy(() -> arena.allocate(-1));
            assertThatIllegalArgumentException().isThrownBy(() -> arena.allocate(Long.MIN_VALUE));
            assertThatIllegalArgumentException().isThrownBy(() -> arena.allocate(Long.MAX_VALUE));
            assertThatIllegalArgumentException().isThrownBy(() -> arena.allocate(Long.MAX_VALUE, 1 << 20));
            for (long alignment : new long[] {0, -1, 3, 4097, Long.MIN_VALUE}) {
                assertThatIllegalArgumentException()
                        .isThrownBy(() -> arena.allocate(PAGE, alignment))
                        .withMessageContaining("power of two");
            }
            assertThat(registry.openRegions()).isEqualTo(openRegions);
        }
        assertThatExceptionOfType(NullPointerException.class).isThrownBy(() -> kind.apply(null));
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void anAlignmentBeyondTheAddressSpaceIsRefusedAndAllocatesNothing(Function<Ksm, MergeableArena> kind) {
        try (MergeableArena arena = kind.apply(KSM)) {
            assertThatExceptionOfType(MemoryLimitExceededException.class)
                    .isThrownBy(() -> arena.allocate(PAGE, 1L << 62));
            assertThat(registry.openRegions()).isEqualTo(openRegions);
            MemorySegment empty = arena.allocate(0, 1L << 62);
            assertThat(empty.byteSize()).isZero();
            assertThat(empty.address() % (1L << 62)).isZero();
            assertThat(empty.scope()).isEqualTo(arena.scope());
        }
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void closingUnmapsEverything(Function<Ksm, MergeableArena> kind) {
        MergeableArena arena = kind.apply(KSM);
        List<MemorySegment> segments =
                Stream.generate(() -> arena.allocate(50 * PAGE)).limit(20).toList();
        arena.close();
        for (MemorySegment segment : segments) {
            long end = segment.address() + segment.byteSize();
            assertThat(Mapping.between(segment.address(), end))
                    .noneMatch(mapping -> mapping.start() == segment.address() && mapping.end() == end);
            assertThatIllegalStateException().isThrownBy(() -> segment.get(ValueLayout.JAVA_BYTE, 0));
            assertThat(registry.isMergeable(segment.address())).isFalse();
        }
        assertThat(registry.openRegions()).isEqualTo(openRegions);
        assertThat(arena.scope().isAlive()).isFalse();
        assertThatIllegalStateException().isThrownBy(() -> arena.allocate(1));
        assertThatIllegalStateException().isThrownBy(() -> arena.allocate(0));
        assertThatIllegalStateException().isThrownBy(() -> arena.allocate(0, 1L << 62));
        assertThatIllegalStateException().isThrownBy(arena::close);
    }

    @Test
    void aConfinedArenaIsForOneThread() {
        try (MergeableArena arena = MergeableArena.ofConfined(KSM)) {
            MemorySegment segment = arena.allocate(PAGE);
            List<Runnable> uses = List.of(
                    () -> arena.allocate(1),
                    () -> arena.allocate(0),
                    arena::close,
                    () -> segment.get(ValueLayout.JAVA_BYTE, 0));
            for (Runnable use : uses) {
                assertThat(inAnotherThread(use)).isInstanceOf(WrongThreadException.class);
            }
            assertThat(registry.openRegions()).isEqualTo(openRegions + 1);
        }
    }

    @Test
    void aSharedArenaIsForAllThreads() {
        MergeableArena arena = MergeableArena.ofShared(KSM);
        List<MemorySegment> segments = new ArrayList<>();
        assertThat(inAnotherThread(() -> segments.add(arena.allocate(PAGE)))).isNull();
        segments.get(0).set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
        assertThat(inAnotherThread(arena::close)).isNull();
        assertThat(arena.scope().isAlive()).isFalse();
    }

    private static Throwable inAnotherThread(Runnable use) {
        return CompletableFuture.runAsync(use)
                .handle((nothing, thrown) -> thrown == null ? null : thrown.getCause())
                .join();
    }

    @Test
    void optionsApplyToEverySegment() {
        RegionOptions options = RegionOptions.DEFAULT.withName("prices").withMarking(Marking.UNMERGEABLE);
        try (MergeableArena arena = MergeableArena.ofShared(KSM, options)) {
            MemorySegment segment = arena.allocate(PAGE);
            assertThat(Mapping.between(segment.address(), segment.address() + PAGE))
                    .noneMatch(Mapping::isMergeable);
        }
        try (MergeableArena arena = MergeableArena.ofConfined(KSM, options.withMarking(Marking.MERGEABLE))) {
            MemorySegment segment = arena.allocate(PAGE);
            assertThat(registry.marksCovering(segment.address()))
                    .extracting(MergeRegistry.Mark::owner)
                    .containsExactly("prices");
        }
    }

    @Test
    void anArenaOfAFallbackAllocatesRealMemory() {
        try (MergeableArena arena = MergeableArena.ofShared(Ksm.fallback())) {
            MemorySegment segment = arena.allocate(2 * PAGE, 4 * PAGE);
            segment.fill((byte) 1);
            assertThat(segment.address() % (4 * PAGE)).isZero();
            assertThat(Mapping.between(segment.address(), segment.address() + 1))
                    .noneMatch(Mapping::isMergeable);
        }
    }

    /** {@return what {@link Ksm#fallback()} returns if no backend works} */
    private static Ksm fallbackOnDirectBuffers() {
        String backend = System.getProperty(Ksm.BACKEND_PROPERTY);
        System.setProperty(Ksm.BACKEND_PROPERTY, "none");
        try {
            return Ksm.fallback();
        } finally {
            if (backend == null) {
                System.clearProperty(Ksm.BACKEND_PROPERTY);
            } else {
                System.setProperty(Ksm.BACKEND_PROPERTY, backend);
            }
        }
    }

    @Test
    void segmentsOnDirectBuffersLieInsideTheirRegion() {
        Ksm ksm = fallbackOnDirectBuffers();
        long page = ksm.pageSize();
        try (MergeableArena arena = MergeableArena.ofShared(ksm)) {
            for (long alignment : new long[] {1, page, 2 * page, 16 * page, 256 * page}) {
                for (long size : new long[] {page, 3 * page, 64 * page}) {
                    MergeRegion region = ksm.allocate(
                            size + Math.max(alignment - page, 0), RegionOptions.DEFAULT.withGuardPages(false));
                    MemorySegment memory = MemorySegment.ofBuffer(region.buffer());
                    MemorySegment segment = arena.segment(region, size, alignment);
                    assertThat(segment.address() % Math.max(alignment, page)).isZero();
                    assertThat(segment.address()).isGreaterThanOrEqualTo(memory.address());
                    assertThat(segment.address() + segment.byteSize())
                            .isLessThanOrEqualTo(memory.address() + memory.byteSize());
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void segmentsOnDirectBuffersAreZeroedAlignedAndDistinct(Function<Ksm, MergeableArena> kind) {
        Ksm ksm = fallbackOnDirectBuffers();
        long page = ksm.pageSize();
        try (MergeableArena arena = kind.apply(ksm)) {
            List<MemorySegment> segments = new ArrayList<>();
            for (long alignment : new long[] {1, page, 4 * page, 64 * page}) {
                MemorySegment segment = arena.allocate(3 * page, alignment);
                assertThat(segment.address() % Math.max(alignment, page)).isZero();
                assertThat(segment.mismatch(MemorySegment.ofArray(new byte[(int) (3 * page)])))
                        .isEqualTo(-1);
                segment.fill((byte) alignment);
                segments.add(segment);
            }
            assertThat(segments).doesNotHaveDuplicates();
        }
    }

    @Test
    void memoryThatStartsInsideAPageIsRefusedAndFreed() {
        try (MergeableArena arena = MergeableArena.ofShared(Ksm.with(startingInsideAPage()))) {
            assertThatIllegalStateException()
                    .isThrownBy(() -> arena.allocate(PAGE, 4 * PAGE))
                    .withMessageContaining("starts inside a page");
            assertThat(registry.openRegions()).isEqualTo(openRegions);
        }
    }

    private static KsmBackend startingInsideAPage() {
        KsmBackend real = new FfmBackendProvider().open();
        return (KsmBackend) Proxy.newProxyInstance(
                KsmBackend.class.getClassLoader(),
                new Class<?>[] {KsmBackend.class},
                (proxy, method, arguments) -> switch (method.getName()) {
                    case "name" -> "shifted";
                    case "map" ->
                        new BufferMapping(
                                (long) arguments[0],
                                (from, length) -> ByteBuffer.allocateDirect((int) (2 * PAGE))
                                        .alignedSlice((int) PAGE)
                                        .slice(16, length),
                                arguments[2]);
                    default -> method.invoke(real, arguments);
                });
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void anArenaInUseByANativeCallCannotBeClosed(Function<Ksm, MergeableArena> kind) throws Throwable {
        try (MergeableArena arena = kind.apply(KSM)) {
            MemorySegment data = arena.allocate(PAGE);
            assertThat(DuringNativeCall.on(data, arena::close)).isInstanceOf(IllegalStateException.class);
            assertThat(arena.scope().isAlive()).isTrue();
            assertThat(registry.isMergeable(data.address())).isTrue();
            data.set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
        }
    }
}
