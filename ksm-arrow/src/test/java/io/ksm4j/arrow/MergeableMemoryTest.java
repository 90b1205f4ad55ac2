// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.arrow;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.MemoryLimitExceededException;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.stats.RegionStats;
import java.lang.ref.WeakReference;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.OutOfMemoryException;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.util.TransferPair;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Arrow's buffers in regions, without any merging. */
@EnabledIfKsm
class MergeableMemoryTest {

    private static final int CHUNK = 16 << 20;

    private static final MergeableMemoryStats NOTHING = new MergeableMemoryStats(0, 0, 0, 0, 0, 0);

    private final Ksm ksm = Ksm.system();
    private final int page = (int) ksm.pageSize();
    private final long regionsBefore = MergeRegistry.system().openRegions();
    private final MergeableMemory memory = MergeableMemory.of(ksm);

    static RootAllocator allocator(MergeableMemory memory) {
        return new RootAllocator(
                RootAllocator.configBuilder().allocationManagerFactory(memory).build());
    }

    @AfterEach
    void everyRegionIsReturned() {
        memory.close();
        assertThat(MergeRegistry.system().openRegions()).isEqualTo(regionsBefore);
    }

    private boolean startsPage(ArrowBuf buffer) {
        return buffer.memoryAddress() % page == 0;
    }

    private long pageOf(ArrowBuf buffer) {
        return buffer.memoryAddress() / page;
    }

    private static boolean isZero(ArrowBuf buffer) {
        for (long at = 0; at < buffer.capacity(); at++) {
            if (buffer.getByte(at) != 0) {
                return false;
            }
        }
        return true;
    }

    private static void fill(ArrowBuf buffer, byte value) {
        for (long at = 0; at < buffer.capacity(); at++) {
            buffer.setByte(at, value);
        }
    }

    @Test
    void buffersOfMoreThanHalfAPageHavePagesOfTheirOwn() {
        try (RootAllocator allocator = allocator(memory);
                ArrowBuf one = allocator.buffer(page / 2 + 1);
                ArrowBuf other = allocator.buffer(page);
                ArrowBuf large = allocator.buffer(5L * page)) {
            assertThat(List.of(one, other, large)).allMatch(this::startsPage);
            assertThat(large.capacity()).as("rounded by Arrow").isEqualTo(8L * page);
            assertThat(memory.stats()).isEqualTo(new MergeableMemoryStats(3, 10L * page, 10L * page, 0, 1, CHUNK));
            assertThat(allocator.getAllocatedMemory()).isEqualTo(10L * page);
        }
    }

    @Test
    void smallBuffersOfATenantShareAPage() {
        try (RootAllocator tenant = allocator(memory);
                BufferAllocator child = tenant.newChildAllocator("child", 0, Long.MAX_VALUE);
                RootAllocator stranger = allocator(memory);
                ArrowBuf one = tenant.buffer(page / 4);
                ArrowBuf other = child.buffer(page / 4);
                ArrowBuf tiny = tenant.buffer(1);
                ArrowBuf strange = stranger.buffer(page / 4)) {
            assertThat(pageOf(one)).isEqualTo(pageOf(other)).isNotEqualTo(pageOf(tiny));
            assertThat(other.memoryAddress() - one.memoryAddress()).isEqualTo(page / 4);
            assertThat(pageOf(strange)).isNotIn(pageOf(one), pageOf(tiny));
            assertThat(List.of(one, other, tiny, strange)).allMatch(buffer -> buffer.memoryAddress() % 64 == 0);
            assertThat(memory.stats().pageBytes()).isEqualTo(3L * page);
        }
        assertThat(memory.stats()).isEqualTo(new MergeableMemoryStats(0, 0, 0, 3L * page, 1, CHUNK));
    }

    @Test
    void aSlotOfAPageIsUsedAgain() {
        try (RootAllocator allocator = allocator(memory)) {
            List<ArrowBuf> buffers = new ArrayList<>();
            for (int i = 0; i < 3 * page / 64; i++) {
                buffers.add(allocator.buffer(64));
            }
            assertThat(memory.stats().pageBytes()).isEqualTo(3L * page);
            long address = buffers.get(5).memoryAddress();
            fill(buffers.get(5), (byte) 1);
            buffers.remove(5).close();
            ArrowBuf again = allocator.buffer(33);
            assertThat(again.memoryAddress()).isEqualTo(address);
            assertThat(isZero(again)).isTrue();
            buffers.add(again);
            buffers.forEach(ArrowBuf::close);
            assertThat(memory.stats().pageBytes()).isZero();
        }
    }

    @Test
    void manyBuffersShareARegionAndLargeOnesHaveTheirOwn() {
        try (RootAllocator allocator = allocator(memory)) {
            List<ArrowBuf> buffers = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                buffers.add(allocator.buffer(CHUNK / 8));
            }
            assertThat(memory.stats().regions()).isEqualTo(1);
            buffers.add(allocator.buffer(1 << 16));
            assertThat(memory.stats().regions()).isEqualTo(2);
            ArrowBuf large = allocator.buffer(CHUNK + 1);
            assertThat(startsPage(large)).isTrue();
            assertThat(large.capacity()).isEqualTo(CHUNK + 1);
            assertThat(memory.stats().regionBytes()).isEqualTo(3L * CHUNK + page);
            large.close();
            assertThat(memory.stats().regions()).isEqualTo(2);
            buffers.forEach(ArrowBuf::close);
            memory.trim();
            assertThat(memory.stats()).isEqualTo(NOTHING);
        }
    }

    @Test
    void oneRegionWithoutBuffersIsKept() {
        try (RootAllocator allocator = allocator(memory)) {
            List<ArrowBuf> buffers = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                buffers.add(allocator.buffer(CHUNK));
            }
            assertThat(memory.stats().regions()).isEqualTo(3);
            buffers.forEach(ArrowBuf::close);
            assertThat(memory.stats()).isEqualTo(new MergeableMemoryStats(0, 0, 0, 0, 1, CHUNK));
        }
    }

    @Test
    void freePagesAreJoinedAndUsedAgain() {
        try (RootAllocator allocator = allocator(memory)) {
            List<ArrowBuf> buffers = new ArrayList<>();
            for (int i = 0; i < 16; i++) {
                buffers.add(allocator.buffer(CHUNK / 16));
            }
            long start = buffers.get(4).memoryAddress();
            for (int i : new int[] {4, 6, 7, 5}) {
                buffers.get(i).close();
            }
            memory.trim();
            ArrowBuf joined = allocator.buffer(CHUNK / 4);
            assertThat(joined.memoryAddress()).isEqualTo(start);
            assertThat(memory.stats().regions()).isEqualTo(1);
            buffers.set(4, joined);
            buffers.subList(5, 8).clear();
            buffers.forEach(ArrowBuf::close);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {64, 1000, 1 << 12, 1 << 16, 1 << 20, 2 << 20, (16 << 20) + 1})
    void aNewBufferShowsNothingOfAReleasedOne(int size) {
        long address;
        try (RootAllocator tenant = allocator(memory);
                ArrowBuf buffer = tenant.buffer(size)) {
            assertThat(isZero(buffer)).isTrue();
            fill(buffer, (byte) 7);
            address = buffer.memoryAddress();
        }
        try (RootAllocator other = allocator(memory);
                ArrowBuf buffer = other.buffer(size)) {
            assertThat(isZero(buffer)).isTrue();
            assertThat(size > CHUNK || buffer.memoryAddress() == address)
                    .as("the same memory")
                    .isTrue();
        }
    }

    @Test
    void releasedMemoryIsGivenBack() {
        try (RootAllocator allocator = allocator(memory)) {
            ArrowBuf kept = allocator.buffer(page);
            fill(kept, (byte) 7);
            ArrowBuf buffer = allocator.buffer(2 << 20);
            fill(buffer, (byte) 7);
            assertThat(memory.mergeStats().residentBytes()).isEqualTo((2 << 20) + page);
            buffer.close();
            assertThat(memory.mergeStats().residentBytes()).isEqualTo(page);
            List<ArrowBuf> small = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                small.add(allocator.buffer(1 << 20));
                fill(small.get(i), (byte) 7);
            }
            small.forEach(ArrowBuf::close);
            assertThat(memory.stats().retainedBytes()).isEqualTo(16 << 20);
            assertThat(memory.mergeStats().residentBytes()).isEqualTo((16 << 20) + page);
            memory.trim();
            assertThat(memory.stats().retainedBytes()).isZero();
            assertThat(memory.mergeStats().residentBytes()).isEqualTo(page);
            assertThat(memory.mergeStats().markedBytes()).isEqualTo(CHUNK);
            kept.close();
        }
    }

    @Test
    void memoryInUseIsNotClosed() {
        RootAllocator allocator = allocator(memory);
        ArrowBuf buffer = allocator.buffer(100);
        buffer.setLong(8, 42);
        assertThatThrownBy(memory::close)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageStartingWith("1 buffers with 128 bytes have not been released");
        assertThat(buffer.getLong(8)).isEqualTo(42);
        buffer.close();
        allocator.close();
        memory.close();
        memory.close();
        assertThatThrownBy(() -> memory.mergeStats()).hasMessage("this memory is closed");
        assertThatThrownBy(memory::trim).hasMessage("this memory is closed");
        try (RootAllocator another = allocator(memory)) {
            for (long size : new long[] {1, page, CHUNK + 1}) {
                assertThatThrownBy(() -> another.buffer(size))
                        .isInstanceOf(IllegalStateException.class)
                        .hasMessage("this memory is closed");
            }
            assertThat(another.getAllocatedMemory()).isZero();
        }
    }

    @Test
    void memoryOfALeakedBufferIsNotClosed() {
        RootAllocator allocator = allocator(memory);
        ArrowBuf leaked = allocator.buffer(page);
        assertThatThrownBy(allocator::close).hasMessageContaining("Memory leaked: (" + page + ")");
        assertThatThrownBy(memory::close).isInstanceOf(IllegalStateException.class);
        leaked.setLong(0, 42);
        assertThat(leaked.getLong(0)).isEqualTo(42);
        releaseTheOnlyPage(memory);
    }

    /** Does what Arrow does not do once an allocator is closed. */
    private void releaseTheOnlyPage(MergeableMemory memory) {
        MergeRegion region = memory.regions().get(0);
        Chunk chunk = new Chunk(region, region.address(), region.size());
        try (MergeableMemory others = MergeableMemory.of(ksm);
                RootAllocator any = allocator(others)) {
            memory.release(any, new Block.Pages(chunk, chunk.address(), page), page);
        }
    }

    @Test
    void aReleasedBufferIsRefused() {
        try (RootAllocator allocator = allocator(memory)) {
            ArrowBuf buffer = allocator.buffer(CHUNK + 1);
            buffer.close();
            assertThatThrownBy(() -> buffer.getByte(0)).isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void vectorsGrowAndAreTransferred() {
        try (RootAllocator root = allocator(memory);
                BufferAllocator one = root.newChildAllocator("one", 0, Long.MAX_VALUE);
                BufferAllocator other = root.newChildAllocator("other", 0, Long.MAX_VALUE)) {
            TransferPair transfer;
            try (VarCharVector words = new VarCharVector("words", one)) {
                for (int i = 0; i < 20_000; i++) {
                    if (i % 3 != 0) {
                        words.setSafe(i, ("word " + i).getBytes(StandardCharsets.UTF_8));
                    }
                }
                words.setValueCount(20_000);
                assertThat(startsPage(words.getDataBuffer())).isTrue();
                transfer = words.getTransferPair(other);
                transfer.splitAndTransfer(10_000, 10_000);
            }
            assertThat(one.getAllocatedMemory()).isZero();
            try (VarCharVector second = (VarCharVector) transfer.getTo()) {
                for (int i = 10_000; i < 20_000; i++) {
                    assertThat(second.isNull(i - 10_000)).isEqualTo(i % 3 == 0);
                    if (i % 3 != 0) {
                        assertThat(new String(second.get(i - 10_000), StandardCharsets.UTF_8))
                                .isEqualTo("word " + i);
                    }
                }
            }
            assertThat(root.getAllocatedMemory()).isZero();
            assertThat(memory.stats().buffers()).isZero();
        }
    }

    @Test
    void aBufferStaysUntilItsLastReferenceIsReleased() {
        try (RootAllocator allocator = allocator(memory)) {
            ArrowBuf data;
            try (IntVector numbers = new IntVector("numbers", allocator)) {
                for (int i = 0; i < 10_000; i++) {
                    numbers.setSafe(i, i);
                }
                data = numbers.getDataBuffer();
                data.getReferenceManager().retain();
            }
            assertThat(data.refCnt()).isEqualTo(1);
            assertThat(data.getInt(4L * 9_999)).isEqualTo(9_999);
            assertThat(memory.stats().buffers()).isEqualTo(1);
            data.close();
            assertThat(memory.stats().buffers()).isZero();
        }
    }

    @Test
    void anAllocationThatFailsLeavesNothingBehind() {
        try (RootAllocator allocator = allocator(memory)) {
            for (long size : new long[] {1L << 46, Long.MAX_VALUE}) {
                assertThatThrownBy(() -> allocator.buffer(size)).isInstanceOf(OutOfMemoryException.class);
            }
            assertThatThrownBy(() -> allocator.buffer(1L << 46)).hasCauseInstanceOf(MemoryLimitExceededException.class);
            assertThat(allocator.getAllocatedMemory()).isZero();
            assertThat(memory.stats()).isEqualTo(NOTHING);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"mmap", "madvise"})
    void aRegionThatCannotBeAllocatedIsArrowsOutOfMemory(String call) {
        FailingCalls calls = new FailingCalls();
        Ksm failing = Ksm.with(calls.backend());
        try (MergeableMemory memory = MergeableMemory.of(failing);
                RootAllocator allocator = allocator(memory)) {
            calls.fail(call);
            for (long size : new long[] {1, page, CHUNK + 1}) {
                assertThatThrownBy(() -> allocator.buffer(size))
                        .isInstanceOf(OutOfMemoryException.class)
                        .hasCauseInstanceOf(KsmException.class);
            }
            assertThat(allocator.getAllocatedMemory()).isZero();
            assertThat(memory.stats()).isEqualTo(NOTHING);
            assertThat(MergeRegistry.system().openRegions()).isEqualTo(regionsBefore);
            calls.fail("");
            try (ArrowBuf buffer = allocator.buffer(page)) {
                buffer.setLong(0, 1);
            }
        }
    }

    @Test
    void pagesThatCannotBeDiscardedAreOverwritten() {
        FailingCalls calls = new FailingCalls();
        Ksm failing = Ksm.with(calls.backend());
        try (MergeableMemory memory = MergeableMemory.of(failing);
                RootAllocator allocator = allocator(memory)) {
            ArrowBuf buffer = allocator.buffer(2 << 20);
            long address = buffer.memoryAddress();
            fill(buffer, (byte) 7);
            calls.fail("madvise");
            buffer.close();
            calls.fail("");
            try (ArrowBuf next = allocator.buffer(2 << 20)) {
                assertThat(next.memoryAddress()).isEqualTo(address);
                assertThat(isZero(next)).isTrue();
            }
        }
    }

    @Test
    void memoryThatNothingReachesStaysWhileItHasBuffers() {
        WeakReference<MergeableMemory> forgotten = forgetWithABuffer();
        WeakReference<Object> collected = new WeakReference<>(new Object());
        while (collected.get() != null) {
            System.gc();
        }
        MergeableMemory found = forgotten.get();
        assertThat(found).isNotNull();
        assertThat(found.stats().buffers()).isEqualTo(1);

        releaseTheOnlyPage(found);
        found.close();
    }

    private WeakReference<MergeableMemory> forgetWithABuffer() {
        MergeableMemory forgotten = MergeableMemory.of(ksm);
        allocator(forgotten).buffer(page);
        return new WeakReference<>(forgotten);
    }

    @Test
    void threadsNeverShareMemory() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(8);
        try (RootAllocator shared = allocator(memory)) {
            List<Callable<Void>> tasks = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                int thread = i;
                tasks.add(() -> {
                    if (thread % 2 == 0) {
                        allocateAndVerify(shared, thread);
                    } else {
                        try (RootAllocator own = allocator(memory)) {
                            allocateAndVerify(own, thread);
                        }
                    }
                    return null;
                });
            }
            tasks.add(() -> {
                for (int i = 0; i < 100; i++) {
                    memory.trim();
                    assertThat(memory.mergeStats().residentBytes()).isNotNegative();
                }
                return null;
            });
            for (Future<Void> task : threads.invokeAll(tasks)) {
                task.get();
            }
        } finally {
            threads.shutdownNow();
        }
        memory.trim();
        assertThat(memory.stats()).isEqualTo(NOTHING);
    }

    private record Written(ArrowBuf buffer, long value) {

        void verifyAndClose() {
            for (long at = 0; at + Long.BYTES <= buffer.capacity(); at += Long.BYTES) {
                if (buffer.getLong(at) != value) {
                    throw new AssertionError("byte " + at + " of " + buffer + " is wrong");
                }
            }
            buffer.close();
        }
    }

    private static void allocateAndVerify(BufferAllocator allocator, long seed) {
        Random random = new Random(seed);
        Deque<Written> open = new ArrayDeque<>();
        for (int i = 0; i < 1000; i++) {
            ArrowBuf buffer = allocator.buffer(1L << (3 + random.nextInt(i % 100 == 0 ? 22 : 14)));
            long value = random.nextLong();
            for (long at = 0; at < buffer.capacity(); at += Long.BYTES) {
                if (buffer.getLong(at) != 0) {
                    throw new AssertionError("byte " + at + " of new " + buffer + " is not 0");
                }
                buffer.setLong(at, value);
            }
            open.add(new Written(buffer, value));
            while (open.size() > 30) {
                (random.nextBoolean() ? open.removeFirst() : open.removeLast()).verifyAndClose();
            }
        }
        open.forEach(Written::verifyAndClose);
    }

    @Test
    void buffersWorkWithoutABackend() {
        String before = System.getProperty(Ksm.BACKEND_PROPERTY);
        System.setProperty(Ksm.BACKEND_PROPERTY, "none");
        Ksm fallback;
        try {
            fallback = Ksm.fallback();
        } finally {
            if (before == null) {
                System.clearProperty(Ksm.BACKEND_PROPERTY);
            } else {
                System.setProperty(Ksm.BACKEND_PROPERTY, before);
            }
        }
        try (MergeRegion region = fallback.allocate(page)) {
            assertThat(region.address()).as("invented").isGreaterThanOrEqualTo(1L << 60);
        }
        try (MergeableMemory memory = MergeableMemory.of(fallback);
                RootAllocator allocator = allocator(memory)) {
            allocateAndVerify(allocator, 1);
            try (ArrowBuf buffer = allocator.buffer(page)) {
                assertThat(startsPage(buffer)).isTrue();
            }
            assertThatThrownBy(() -> allocator.buffer(4L << 30))
                    .isInstanceOf(OutOfMemoryException.class)
                    .hasMessageContaining("must be smaller than 2 GiB");
            assertThat(memory.mergeStats()).isEqualTo(RegionStats.NONE);
        }
    }

    @Test
    void invalidArgumentsAreRefused() {
        assertThatThrownBy(() -> MergeableMemory.of(ksm, RegionOptions.DEFAULT.withPopulate(true)))
                .isInstanceOf(IllegalArgumentException.class);
        try (RootAllocator allocator = allocator(memory)) {
            assertThatThrownBy(() -> memory.create(allocator, -1)).isInstanceOf(IllegalArgumentException.class);
            assertThat(allocator.buffer(0).capacity()).isZero();
        }
    }

    @Test
    void anAllocatorThatIsClosedGetsNothing() {
        RootAllocator allocator = allocator(memory);
        allocator.close();
        for (long size : new long[] {1, page}) {
            assertThatThrownBy(() -> memory.create(allocator, size)).isInstanceOf(IllegalStateException.class);
        }
        assertThat(memory.stats().buffers()).isZero();
    }
}
