// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.pool;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.Ksm;
import io.ksm4j.RegionOptions;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.pool.Deduplication;
import io.ksm4j.pool.MergeBlock;
import io.ksm4j.pool.MergeDomain;
import io.ksm4j.pool.MergePool;
import io.ksm4j.pool.PoolExhaustedException;
import io.ksm4j.pool.PoolStats;
import io.ksm4j.stats.RegionStats;
import io.ksm4j.testsupport.TestLength;
import java.nio.ByteBuffer;
import java.nio.ReadOnlyBufferException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReferenceArray;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** Pools of real memory. */
@Tag("more")
class MergePoolTest {

    static final List<String> BACKENDS = TestedBackends.NAMES;

    private static final int PAGE = (int) Ksm.system().pageSize();

    private static byte[] random(long seed, int size) {
        byte[] bytes = new byte[size];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    private static MergePool pool(long pages) {
        return MergePool.create(Ksm.system(), pages * PAGE);
    }

    @ParameterizedTest
    @FieldSource("BACKENDS")
    void valuesComeBackAndNewBlocksAreZeros(String backend) {
        try (MergePool pool = MergePool.create(Ksm.with(TestedBackends.open(backend)), 64L * PAGE)) {
            for (int size : new int[] {0, 1, PAGE - 1, PAGE, PAGE + 1, 5 * PAGE + 17, 64 * PAGE}) {
                byte[] value = random(size, size);
                try (MergeBlock block = pool.store(value)) {
                    assertThat(block.toByteArray()).isEqualTo(value);
                    assertThat(block.size()).isEqualTo(size);
                }
                try (MergeBlock next = pool.allocate(size)) {
                    assertThat(next.toByteArray()).as("no old bytes").isEqualTo(new byte[size]);
                }
            }
            assertThat(pool.stats().usedBytes()).isZero();
        }
    }

    @ParameterizedTest
    @FieldSource("BACKENDS")
    void equalValuesShareMemoryAtOnce(String backend) {
        Ksm ksm = Ksm.with(TestedBackends.open(backend));
        try (MergeDomain domain = MergeDomain.ofProcess()) {
            for (MergeDomain who : List.of(MergeDomain.everybody(), domain)) {
                try (MergePool pool = MergePool.builder(ksm, 1000L * PAGE)
                        .deduplication(Deduplication.ON_STORE)
                        .domain(who)
                        .build()) {
                    byte[] value = random(5, 7 * PAGE + 3);
                    List<MergeBlock> blocks = new ArrayList<>();
                    for (int i = 0; i < 100; i++) {
                        blocks.add(pool.store(value));
                    }
                    assertThat(pool.stats().usedBytes()).isEqualTo(8L * PAGE);
                    assertThat(pool.mergeStats().residentBytes()).isEqualTo(8L * PAGE);
                    assertThat(blocks)
                            .allSatisfy(block -> assertThat(block.toByteArray()).isEqualTo(value));
                    MergeBlock built = pool.allocate(value.length);
                    built.put(0, value);
                    built.seal();
                    blocks.forEach(MergeBlock::close);
                    assertThat(built.toByteArray()).isEqualTo(value);
                    assertThat(pool.stats().usedBytes()).isEqualTo(8L * PAGE);
                    built.close();
                    pool.trim();
                    assertThat(pool.mergeStats().residentBytes()).isZero();
                }
            }
        }
    }

    @Test
    void aPoolWorksWithoutMerging() {
        try (MergePool pool = MergePool.create(Ksm.fallback(), 64L * PAGE)) {
            byte[] value = random(1, 3 * PAGE + 17);
            try (MergeBlock block = pool.store(value)) {
                assertThat(block.toByteArray()).isEqualTo(value);
                assertThat(pool.mergeStats()).isEqualTo(RegionStats.NONE);
            }
            assertThat(pool.allocate(64 * PAGE).toByteArray()).containsOnly(0);
        }
    }

    /** Applies random operations to a pool and to a model made of arrays. */
    @Property(tries = 100)
    void aPoolBehavesLikeItsModel(
            @ForAll long seed, @ForAll @Size(min = 50, max = 300) List<@IntRange(min = -60, max = 60) Integer> steps) {
        try (MergePool pool = pool(200)) {
            List<MergeBlock> blocks = new ArrayList<>();
            List<byte[]> model = new ArrayList<>();
            Random random = new Random(seed);
            long pages = 0;
            long bytes = 0;
            for (int step : steps) {
                int size = (int) (random.nextDouble() * step * PAGE);
                if (step > 0) {
                    int needed = (size + PAGE - 1) / PAGE;
                    if (pages + needed > 200) {
                        assertThatThrownBy(() -> pool.allocate(size)).isInstanceOf(PoolExhaustedException.class);
                        continue;
                    }
                    byte[] value = random(random.nextLong(), size);
                    blocks.add(pool.store(value));
                    model.add(value);
                    pages += needed;
                    bytes += size;
                } else if (!blocks.isEmpty()) {
                    int index = -step % blocks.size();
                    byte[] value = model.get(index);
                    assertThat(blocks.get(index).toByteArray()).isEqualTo(value);
                    if (step % 2 == 0 && value.length > 0) {
                        int at = random.nextInt(value.length);
                        byte[] part = random(random.nextLong(), random.nextInt(value.length - at + 1));
                        blocks.get(index).put(at, part);
                        System.arraycopy(part, 0, value, at, part.length);
                    } else {
                        blocks.remove(index).close();
                        model.remove(index);
                        pages -= (value.length + PAGE - 1) / PAGE;
                        bytes -= value.length;
                    }
                }
                PoolStats stats = pool.stats();
                assertThat(stats.usedBytes()).isEqualTo(pages * PAGE);
                assertThat(stats.valueBytes()).isEqualTo(bytes);
                assertThat(stats.wastedBytes()).isEqualTo(pages * PAGE - bytes);
                assertThat(stats.blocks()).isEqualTo(blocks.size());
            }
            for (int i = 0; i < blocks.size(); i++) {
                assertThat(blocks.get(i).toByteArray()).isEqualTo(model.get(i));
            }
        }
    }

    @Test
    void equalValuesMergeCompletelyAndFreedOnesTakeNoMemory() throws InterruptedException {
        try (RunningKsmd ksmd = RunningKsmd.start();
                MergePool pool = pool(4096)) {
            byte[] value = random(new SecureRandom().nextLong(), 10 * PAGE + 100);
            List<MergeBlock> blocks = new ArrayList<>();
            for (int i = 0; i < 100; i++) {
                blocks.add(pool.store(value));
            }
            Awaitility.await().atMost(PATIENCE).until(() -> pool.mergeStats().savedBytes() >= 99L * 11 * PAGE);
            ksmd.awaitFullScans(1);
            RegionStats merged = pool.mergeStats();
            assertThat(merged.savedBytes())
                    .as("apart from rounding by the kernel")
                    .isBetween(99L * 11 * PAGE, 99L * 11 * PAGE + PAGE);
            assertThat(blocks)
                    .allSatisfy(block -> assertThat(block.toByteArray()).isEqualTo(value));

            blocks.forEach(MergeBlock::close);
            assertThat(pool.mergeStats().residentBytes()).isZero();
        }
    }

    @Test
    void thousandsOfBlocksNeedAHandfulOfMappings() throws Exception {
        try (MergePool pool = pool(40_000)) {
            long before = mappings();
            List<MergeBlock> blocks = new ArrayList<>();
            for (int i = 0; i < 10_000; i++) {
                blocks.add(pool.store(new byte[] {1}));
            }
            for (int i = 0; i < blocks.size(); i += 2) {
                blocks.get(i).close();
            }
            assertThat(mappings() - before).isLessThan(20);
            assertThat(pool.stats().regions()).isLessThan(20);
        }
    }

    private static long mappings() throws Exception {
        try (var lines = Files.lines(Path.of("/proc/self/maps"))) {
            return lines.count();
        }
    }

    @Test
    void aFullPoolRefusesBlocksAndLosesNothing() {
        try (MergePool pool = pool(10)) {
            MergeBlock kept = pool.store(random(1, 6 * PAGE));
            PoolStats before = pool.stats();
            assertThatThrownBy(() -> pool.allocate(4 * PAGE + 1))
                    .isInstanceOf(PoolExhaustedException.class)
                    .hasMessageContaining("no room for 5 pages: its blocks use 6 of 10");
            assertThat(pool.stats()).isEqualTo(before);
            assertThat(pool.allocate(4 * PAGE).size()).isEqualTo(4 * PAGE);
            assertThat(kept.toByteArray()).isEqualTo(random(1, 6 * PAGE));
        }
    }

    @Test
    void fragmentationDoesNotMakeAPoolRefuse() {
        long pages = 64L << 20 >> 12;
        try (MergePool pool = pool(pages)) {
            List<MergeBlock> blocks = new ArrayList<>();
            for (int i = 0; i < pages; i++) {
                blocks.add(pool.allocate(1));
            }
            for (int i = 0; i < pages; i += 2) {
                blocks.get(i).close();
            }
            assertThat(pool.allocate((int) (pages / 16 * PAGE)).size()).isPositive();
            assertThat(pool.stats().usedBytes()).isEqualTo((pages / 2 + pages / 16) * PAGE);
        }
    }

    @Test
    void badArgumentsAreRefusedBeforeAnythingHappens() {
        Ksm ksm = Ksm.system();
        assertThatThrownBy(() -> MergePool.create(ksm, PAGE - 1)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> MergePool.create(ksm, PAGE, RegionOptions.DEFAULT.withPopulate(true)))
                .isInstanceOf(IllegalArgumentException.class);
        try (MergePool pool = pool(4);
                MergeBlock block = pool.store(new byte[100])) {
            assertThatThrownBy(() -> pool.allocate(-1)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> pool.allocate(4 * PAGE + 1)).isInstanceOf(IllegalArgumentException.class);
            for (int offset : new int[] {-1, 97, 101, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
                assertThatThrownBy(() -> block.put(offset, new byte[4])).isInstanceOf(IndexOutOfBoundsException.class);
                assertThatThrownBy(() -> block.get(offset, ByteBuffer.allocate(4)))
                        .isInstanceOf(IndexOutOfBoundsException.class);
            }
            assertThatThrownBy(() -> block.get(0, ByteBuffer.allocate(4).asReadOnlyBuffer()))
                    .isInstanceOf(ReadOnlyBufferException.class);
            ByteBuffer untouched = ByteBuffer.allocate(101);
            assertThatThrownBy(() -> block.get(0, untouched)).isInstanceOf(IndexOutOfBoundsException.class);
            assertThat(untouched.position()).isZero();
            assertThat(block.toByteArray()).containsOnly(0);
        }
    }

    @ParameterizedTest
    @FieldSource("BACKENDS")
    void afterCloseEverythingThrowsAndClosingAgainDoesNothing(String backend) {
        MergePool pool = MergePool.create(Ksm.with(TestedBackends.open(backend)), 100L << 20);
        MergeBlock small = pool.store(new byte[10]);
        MergeBlock large = pool.store(new byte[20 << 20]);
        MergeBlock closed = pool.store(new byte[10]);
        closed.close();
        closed.close();
        assertThatThrownBy(closed::toByteArray)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
        assertThat(pool.stats().blocks()).isEqualTo(2);
        pool.close();
        pool.close();
        for (MergeBlock block : List.of(small, large)) {
            assertThatThrownBy(block::toByteArray).isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(() -> block.put(0, new byte[1])).isInstanceOf(IllegalStateException.class);
            block.close();
        }
        assertThatThrownBy(() -> pool.allocate(1)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(pool::mergeStats).isInstanceOf(IllegalStateException.class);
        assertThat(pool.isOpen()).isFalse();
    }

    /**
     * Threads replace values in shared slots and read those of others: every value read is complete and was stored
     * there.
     */
    @ParameterizedTest
    @FieldSource("BACKENDS")
    @org.junit.jupiter.api.Tag("more")
    void readersNeverSeeAnothersBytes(String backend) throws Exception {
        int slots = 16;
        AtomicReferenceArray<MergeBlock> table = new AtomicReferenceArray<>(slots);
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try (MergePool pool = MergePool.create(Ksm.with(TestedBackends.open(backend)), 300L * PAGE)) {
            long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(TestLength.times(500));
            Callable<Integer> work = () -> {
                Random random = new Random();
                int reads = 0;
                while (System.nanoTime() < end) {
                    int slot = random.nextInt(slots);
                    if (random.nextInt(3) == 0) {
                        byte[] value = new byte[1 + random.nextInt(6 * PAGE)];
                        Arrays.fill(value, (byte) (1 + slot));
                        MergeBlock old = table.getAndSet(slot, pool.store(value));
                        if (old != null) {
                            old.close();
                        }
                        continue;
                    }
                    MergeBlock block = table.get(slot);
                    if (block != null) {
                        try {
                            assertThat(block.toByteArray()).containsOnly(1 + slot);
                            reads++;
                        } catch (IllegalStateException closedMeanwhile) {
                            assertThat(closedMeanwhile).hasMessageContaining("closed");
                        }
                    }
                }
                return reads;
            };
            for (Future<Integer> done : threads.invokeAll(List.of(work, work, work, work))) {
                assertThat(done.get()).isPositive();
            }
            for (int slot = 0; slot < slots; slot++) {
                MergeBlock block = table.get(slot);
                if (block != null) {
                    block.close();
                }
            }
            assertThat(pool.stats().usedBytes()).isZero();
            assertThat(pool.stats().blocks()).isZero();
            assertThat(pool.stats().valueBytes()).isZero();
        } finally {
            threads.shutdownNow();
        }
    }

    /** Closes no regions, whose addresses may stay mapped until their buffers are collected. */
    @ParameterizedTest
    @FieldSource("BACKENDS")
    void largeBlocksFollowEachOtherInTheSameRegions(String backend) throws Exception {
        try (MergePool pool = MergePool.create(Ksm.with(TestedBackends.open(backend)), 64L << 20)) {
            pool.allocate(40 << 20).close();
            long mappings = mappings();
            PoolStats before = pool.stats();
            for (int i = 0; i < 2000; i++) {
                pool.allocate((5 << 20) + i * 17_000).close();
            }
            assertThat(pool.stats()).isEqualTo(before);
            assertThat(mappings()).isLessThan(mappings + 50);
        }
    }

    @ParameterizedTest
    @FieldSource("BACKENDS")
    void aPoolThatIsClosedWhileItIsReadShowsNoZeros(String backend) throws Exception {
        Ksm ksm = Ksm.with(TestedBackends.open(backend));
        ExecutorService threads = Executors.newFixedThreadPool(2);
        try {
            for (int round = 0; round < 30; round++) {
                MergePool pool = MergePool.create(ksm, 100L * PAGE);
                byte[] value = new byte[50 * PAGE];
                Arrays.fill(value, (byte) 7);
                MergeBlock block = pool.store(value);
                Future<Boolean> reader = threads.submit(() -> {
                    while (true) {
                        try {
                            assertThat(block.toByteArray()).containsOnly(7);
                        } catch (IllegalStateException closedMeanwhile) {
                            return true;
                        }
                    }
                });
                pool.close();
                assertThat(reader.get(PATIENCE.toSeconds(), TimeUnit.SECONDS)).isTrue();
            }
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    @org.junit.jupiter.api.Tag("long") // jqwik has an annotation of this name, too.
    void nothingIsLostIfTheHeapOrTheStackIsFull() {
        ChildJvm child = ChildJvm.run(PoolInTrouble.class, List.of("-Xmx8m")).assertEndedWell();
        assertThat(child.output()).contains("nothing was lost");
    }
}
