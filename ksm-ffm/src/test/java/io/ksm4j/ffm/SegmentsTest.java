// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.ffm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatNoException;

import io.ksm4j.AddressRange;
import io.ksm4j.InvalidRangeException;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.tck.Mapping;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class SegmentsTest {

    private static final Ksm KSM = Ksm.with(new FfmBackendProvider().open());
    private static final long PAGE = KSM.pageSize();

    private final MergeRegistry registry = MergeRegistry.system();
    private long openRegions;

    @BeforeEach
    void countRegions() {
        openRegions = registry.openRegions();
    }

    @AfterEach
    void leaveNothingOpen() {
        assertThat(registry.openRegions()).isEqualTo(openRegions);
    }

    @Test
    void theSegmentCoversTheWholeRegionAndIsAlwaysTheSame() {
        try (MergeRegion region = KSM.allocate(3 * PAGE)) {
            MemorySegment segment = Segments.of(region);
            assertThat(segment.address()).isEqualTo(region.address());
            assertThat(segment.byteSize()).isEqualTo(region.size());
            assertThat(segment.isReadOnly()).isFalse();
            assertThat(Segments.of(region)).isSameAs(segment);
            segment.set(ValueLayout.JAVA_BYTE, PAGE, (byte) 5);
            assertThat(region.buffer().get((int) PAGE)).isEqualTo((byte) 5);
        }
    }

    @Test
    void aRegionLargerThanABufferIsOneSegment() {
        try (MergeRegion region = KSM.allocate(5L << 30)) {
            MemorySegment segment = Segments.of(region);
            segment.set(ValueLayout.JAVA_BYTE, segment.byteSize() - 1, (byte) 5);
            assertThat(region.buffer(region.size() - 1, 1).get(0)).isEqualTo((byte) 5);
        }
    }

    @Test
    void anyThreadMayUseTheSegment() {
        try (MergeRegion region = KSM.allocate(1)) {
            MemorySegment segment = Segments.of(region);
            CompletableFuture.runAsync(() -> segment.set(ValueLayout.JAVA_BYTE, 0, (byte) 5))
                    .join();
            assertThat(segment.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) 5);
        }
    }

    @Test
    void theSegmentEndsWithTheRegion() {
        MergeRegion region = KSM.allocate(1);
        MemorySegment segment = Segments.of(region);
        MemorySegment slice = segment.asSlice(1, 2);
        ByteBuffer buffer = segment.asByteBuffer();
        assertThat(segment.scope().isAlive()).isTrue();
        region.close();
        assertThat(segment.scope().isAlive()).isFalse();
        assertThatIllegalStateException().isThrownBy(() -> segment.get(ValueLayout.JAVA_BYTE, 0));
        assertThatIllegalStateException().isThrownBy(() -> segment.set(ValueLayout.JAVA_BYTE, 0, (byte) 1));
        assertThatIllegalStateException().isThrownBy(() -> slice.fill((byte) 1));
        assertThatIllegalStateException().isThrownBy(() -> buffer.get(0));
        assertThatIllegalStateException().isThrownBy(() -> Segments.of(region));
    }

    @Test
    void aRegionInUseByANativeCallCannotBeClosed() throws Throwable {
        try (MergeRegion region = KSM.allocate(PAGE)) {
            MemorySegment segment = Segments.of(region);
            assertThat(DuringNativeCall.on(segment, region::close)).isInstanceOf(IllegalStateException.class);
            assertThat(region.isOpen()).isTrue();
            assertThat(region.isMergeable()).isTrue();
            segment.set(ValueLayout.JAVA_BYTE, 0, (byte) 5);
            assertThat(region.buffer().get(0)).isEqualTo((byte) 5);
        }
    }

    @Test
    void adoptedRegionsHaveNoSegment() {
        ByteBuffer direct = ByteBuffer.allocateDirect((int) (2 * PAGE));
        try (MergeRegion adopted = KSM.adopt(direct)) {
            assertThatExceptionOfType(UnsupportedOperationException.class).isThrownBy(() -> Segments.of(adopted));
        }
    }

    @Test
    void theWholePagesOfAnAdoptedSegmentAreMarked() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment segment = arena.allocate(4 * PAGE, PAGE);
            segment.set(ValueLayout.JAVA_BYTE, PAGE, (byte) 5);
            try (MergeRegion region = Segments.adopt(KSM, segment.asSlice(1))) {
                assertThat(region.range()).isEqualTo(new AddressRange(segment.address() + PAGE, 3 * PAGE));
                assertThat(Mapping.between(region.address(), region.range().end()))
                        .allMatch(Mapping::isMergeable);
                region.markUnmergeable();
                assertThat(Mapping.between(region.address(), region.range().end()))
                        .noneMatch(Mapping::isMergeable);
            }
            assertThat(segment.get(ValueLayout.JAVA_BYTE, PAGE)).isEqualTo((byte) 5);
        }
    }

    @Test
    void segmentsThatCannotMergeAreRefused() throws Exception {
        MemorySegment heap = MemorySegment.ofArray(new byte[(int) (3 * PAGE)]);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Segments.adopt(KSM, heap))
                .withMessageContaining("heap");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment segment = arena.allocate(2 * PAGE, PAGE);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> Segments.adopt(KSM, segment.asReadOnly()))
                    .withMessageContaining("read-only");
            assertThatIllegalArgumentException().isThrownBy(() -> Segments.adopt(KSM, segment.asSlice(PAGE, 0)));
            assertThatExceptionOfType(InvalidRangeException.class)
                    .isThrownBy(() -> Segments.adopt(KSM, segment.asSlice(1, PAGE)));
            assertThatExceptionOfType(NullPointerException.class).isThrownBy(() -> Segments.adopt(KSM, segment, null));
            assertThatExceptionOfType(NullPointerException.class).isThrownBy(() -> Segments.adopt(KSM, null));
            assertThat(CompletableFuture.supplyAsync(() -> refusal(segment)).get())
                    .isInstanceOf(WrongThreadException.class);
        }
    }

    @Test
    void aBufferOfAConfinedSegmentIsRefusedLikeTheSegment() throws Exception {
        ByteBuffer view;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment segment = arena.allocate(2 * PAGE, PAGE);
            view = segment.asByteBuffer();
            assertThat(CompletableFuture.supplyAsync(() -> refusal(view)).get())
                    .isInstanceOf(WrongThreadException.class)
                    .hasMessage(CompletableFuture.supplyAsync(() -> refusal(segment))
                            .get()
                            .getMessage());
            try (MergeRegion region = KSM.adopt(view)) {
                assertThat(region.isMergeable()).isTrue();
            }
        }
        assertThat(CompletableFuture.supplyAsync(() -> refusal(view)).get()).isInstanceOf(IllegalStateException.class);
    }

    private static Throwable refusal(ByteBuffer view) {
        try (MergeRegion region = KSM.adopt(view)) {
            return new AssertionError("adopted " + region);
        } catch (RuntimeException e) {
            return e;
        }
    }

    private static Throwable refusal(MemorySegment segment) {
        try (MergeRegion region = Segments.adopt(KSM, segment)) {
            return new AssertionError("adopted " + region);
        } catch (RuntimeException e) {
            return e;
        }
    }

    @Test
    void aSegmentOfAClosedArenaIsRefused() {
        MemorySegment segment;
        try (Arena arena = Arena.ofConfined()) {
            segment = arena.allocate(2 * PAGE, PAGE);
        }
        assertThatIllegalStateException()
                .isThrownBy(() -> Segments.adopt(KSM, segment))
                .withMessageContaining("closed");
    }

    @Test
    void theRegionDoesNotTouchItsMemoryIfTheArenaIsClosedFirst() {
        Arena arena = Arena.ofShared();
        MergeRegion region = Segments.adopt(KSM, arena.allocate(2 * PAGE, PAGE));
        arena.close();
        assertThatIllegalStateException().isThrownBy(region::markMergeable);
        assertThatIllegalStateException().isThrownBy(region::markUnmergeable);
        assertThatIllegalStateException().isThrownBy(() -> region.markUnmergeable(0, PAGE));
        assertThatNoException().isThrownBy(region::close);
        assertThat(registry.marksCovering(region.address())).isEmpty();
    }

    @Test
    void aBufferOfAClosedArenaIsRefused() {
        ByteBuffer buffer;
        try (Arena arena = Arena.ofConfined()) {
            buffer = arena.allocate(2 * PAGE, PAGE).asByteBuffer();
        }
        assertThatIllegalStateException().isThrownBy(() -> KSM.adopt(buffer));
    }
}
