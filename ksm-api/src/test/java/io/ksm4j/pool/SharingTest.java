// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import java.nio.ByteBuffer;
import java.nio.ReadOnlyBufferException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReferenceArray;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Deduplicating pools of memory that never merges: what is shared, and what is counted. */
class SharingTest {

    private static final Ksm KSM = Ksm.fallback();
    private static final int PAGE = (int) KSM.pageSize();
    private static final byte[] SECRET = "0123456789abcdef".getBytes(java.nio.charset.StandardCharsets.US_ASCII);

    /** How much of the last page the values of threads do not use. */
    private static final int TAIL = PAGE - 100;

    private static MergePool.Builder builder(long pages) {
        return MergePool.builder(KSM, pages * PAGE).deduplication(Deduplication.ON_STORE);
    }

    private static MergePool pool(long pages) {
        return builder(pages).build();
    }

    /** Returns one of a few pages, cut to a length. */
    private static byte[] content(int kind, int length) {
        byte[] page = new byte[length];
        if (kind > 0) {
            new Random(kind).nextBytes(page);
        }
        return page;
    }

    private static byte[] value(int... kinds) {
        ByteBuffer value = ByteBuffer.allocate(kinds.length * PAGE);
        for (int kind : kinds) {
            value.put(content(kind, PAGE));
        }
        return value.array();
    }

    @Test
    void indexGrowsWithUsedPagesInsteadOfCapacity() {
        try (MergePool small = pool(4096);
                MergePool large = pool(16384)) {
            long empty = large.stats().indexBytes();
            assertThat(empty).isEqualTo(small.stats().indexBytes());

            MergeBlock block = large.store(value(1));

            assertThat(large.stats().indexBytes()).isGreaterThan(empty);
            block.close();
        }
    }

    @Test
    void equalValuesShareAllTheirPagesAtOnce() {
        try (MergePool pool = pool(64)) {
            List<MergeBlock> blocks = new ArrayList<>();
            byte[] value = Arrays.copyOf(value(1, 2, 3), 2 * PAGE + 100);
            for (int i = 0; i < 1000; i++) {
                blocks.add(pool.store(value));
            }
            assertThat(pool.stats().usedBytes()).isEqualTo(3L * PAGE);
            assertThat(pool.stats().logicalBytes()).isEqualTo(3000L * PAGE);
            assertThat(pool.stats().sharedBytes()).isEqualTo(2997L * PAGE);
            assertThat(pool.stats().sharedStores()).isEqualTo(2997);
            assertThat(pool.stats().valueBytes()).isEqualTo(1000L * value.length);
            for (MergeBlock block : blocks) {
                assertThat(block.toByteArray()).isEqualTo(value);
                block.close();
            }
            assertThat(pool.stats().usedBytes()).isZero();
            assertThat(pool.stats().logicalBytes()).isZero();
        }
    }

    @Test
    void valuesThatDifferInOnePageShareTheOthers() {
        try (MergePool pool = pool(64)) {
            MergeBlock one = pool.store(value(1, 2, 3, 4));
            MergeBlock other = pool.store(value(1, 2, 9, 4));
            assertThat(pool.stats().usedBytes()).isEqualTo(5L * PAGE);
            one.close();
            assertThat(pool.stats().usedBytes()).isEqualTo(4L * PAGE);
            assertThat(other.toByteArray()).isEqualTo(value(1, 2, 9, 4));
        }
    }

    @Test
    void whatIsThereAlreadyNeedsNoCapacity() {
        try (MergePool pool = pool(2)) {
            pool.store(value(1, 2));
            for (int i = 0; i < 100; i++) {
                assertThat(pool.store(value(2, 1, 2, 1)).size()).isEqualTo(4 * PAGE);
            }
        } catch (IllegalArgumentException e) {
            assertThat(e).hasMessageContaining("0 to " + 2 * PAGE + " bytes");
        }
    }

    @Test
    void exhaustionInTheMiddleOfAStoreChangesNothing() {
        try (MergePool pool = pool(5)) {
            MergeBlock kept = pool.store(value(1, 2));
            PoolStats before = pool.stats();
            assertThatThrownBy(() -> pool.store(value(1, 3, 4, 5, 6))).isInstanceOf(PoolExhaustedException.class);
            assertThat(pool.stats().usedBytes()).isEqualTo(before.usedBytes());
            assertThat(pool.stats().blocks()).isEqualTo(1);
            assertThat(pool.store(value(1, 3, 4, 5)).toByteArray()).isEqualTo(value(1, 3, 4, 5));
            assertThat(kept.toByteArray()).isEqualTo(value(1, 2));
        }
    }

    @Test
    void sealedBlocksRefuseWrites() {
        try (MergePool pool = pool(8);
                MergeBlock block = pool.store(value(1, 2))) {
            ByteBuffer source = ByteBuffer.allocate(4);
            assertThat(block.isSealed()).isTrue();
            assertThatThrownBy(() -> block.put(0, source)).isInstanceOf(ReadOnlyBufferException.class);
            assertThat(source.position()).isZero();
            block.seal();
            assertThat(block.toByteArray()).isEqualTo(value(1, 2));
        }
    }

    @Test
    void aValueCanBeBuiltInPlaceAndIsSharedOnceItIsSealed() {
        try (MergePool pool = pool(16)) {
            MergeBlock stored = pool.store(value(1, 2, 0));
            MergeBlock built = pool.allocate(3 * PAGE);
            assertThat(built.isSealed()).isFalse();
            built.put(0, value(1));
            built.put(PAGE, value(2));
            assertThat(pool.stats().usedBytes()).isEqualTo(6L * PAGE);
            built.seal();
            assertThat(pool.stats().usedBytes()).isEqualTo(3L * PAGE);
            assertThatThrownBy(() -> built.put(0, new byte[1])).isInstanceOf(ReadOnlyBufferException.class);
            assertThat(built.toByteArray()).isEqualTo(stored.toByteArray());
            stored.close();
            assertThat(built.toByteArray()).isEqualTo(value(1, 2, 0));
            assertThat(pool.store(value(2)).toByteArray()).isEqualTo(value(2));
            assertThat(pool.stats().usedBytes()).isEqualTo(3L * PAGE);
            built.close();
            assertThatIllegalStateException().isThrownBy(built::seal);
        }
    }

    @Test
    void withoutDeduplicationSealingOnlyRefusesWrites() {
        try (MergePool pool = MergePool.create(KSM, 8L * PAGE)) {
            MergeBlock one = pool.store(value(1));
            MergeBlock other = pool.store(value(1));
            one.put(0, new byte[1]);
            one.seal();
            other.seal();
            assertThatThrownBy(() -> one.put(0, new byte[1])).isInstanceOf(ReadOnlyBufferException.class);
            assertThat(pool.stats().usedBytes()).isEqualTo(2L * PAGE);
        }
    }

    /** Applies random operations to a pool and to a model of arrays and of the number of uses of each page. */
    @Property(tries = 50)
    void aPoolBehavesLikeItsModel(
            @ForAll long seed,
            @ForAll boolean hasDomain,
            @ForAll boolean retains,
            @ForAll boolean collides,
            @ForAll Layout layout,
            @ForAll @Size(min = 20, max = 200) List<@IntRange(max = 99) Integer> steps) {
        MergePool.Builder builder = builder(40).layout(layout).retainedShare(retains ? 0.5 : 0);
        if (hasDomain) {
            builder.domain(MergeDomain.ofSecret(SECRET));
        }
        if (collides) {
            builder.hashes(pageSize -> (content, length) -> (long) (content[0] & 3) << 32);
        }
        try (MergePool pool = builder.build()) {
            Model model = new Model(pool, layout, new Random(seed));
            for (int step : steps) {
                model.perform(step);
                model.check();
            }
            model.closeAll();
            assertThat(pool.stats().usedBytes()).isZero();
            assertThat(pool.stats().blocks()).isZero();
            assertThat(pool.stats().logicalBytes()).isZero();
        }
    }

    private static final class Model {

        private final MergePool pool;
        private final Layout layout;
        private final Random random;
        private final List<MergeBlock> blocks = new ArrayList<>();
        private final List<byte[]> values = new ArrayList<>();

        Model(MergePool pool, Layout layout, Random random) {
            this.pool = pool;
            this.layout = layout;
            this.random = random;
        }

        /** A value of few different pages, whose last one may be cut. */
        private byte[] randomValue() {
            int[] kinds = random.ints(random.nextInt(6), 0, 8).toArray();
            byte[] value = value(kinds);
            return kinds.length > 0 && random.nextBoolean()
                    ? Arrays.copyOf(value, value.length - 1 - random.nextInt(PAGE / 16) * 16)
                    : value;
        }

        void perform(int step) {
            if (step < 45) {
                add(randomValue(), false);
            } else if (step < 60) {
                add(randomValue(), true);
            } else if (blocks.isEmpty()) {
                return;
            }
            int index = blocks.isEmpty() ? 0 : random.nextInt(blocks.size());
            if (step >= 90) {
                pool.trim();
            } else if (step >= 80) {
                blocks.get(index).seal();
            } else if (step >= 70) {
                overwrite(blocks.get(index), values.get(index));
            } else if (step >= 60) {
                blocks.remove(index).close();
                values.remove(index);
            }
        }

        private void add(byte[] value, boolean inPlace) {
            try {
                MergeBlock block = inPlace ? pool.allocate(value.length) : pool.store(value);
                if (inPlace) {
                    assertThat(block.toByteArray()).as("no old bytes").containsOnly(new byte[value.length]);
                    block.put(0, value);
                }
                blocks.add(block);
                values.add(value);
            } catch (PoolExhaustedException e) {
                assertThat(pool.stats().usedBytes() + (long) value.length + PAGE)
                        .isGreaterThan(40L * PAGE);
            }
        }

        private void overwrite(MergeBlock block, byte[] value) {
            int at = random.nextInt(value.length + 1);
            byte[] part = content(1 + random.nextInt(3), random.nextInt(value.length - at + 1));
            if (block.isSealed()) {
                assertThatThrownBy(() -> block.put(at, part)).isInstanceOf(ReadOnlyBufferException.class);
            } else {
                block.put(at, part);
                System.arraycopy(part, 0, value, at, part.length);
            }
        }

        void check() {
            Map<ByteBuffer, Integer> shared = new HashMap<>();
            long ownPages = 0;
            long logical = 0;
            for (int i = 0; i < blocks.size(); i++) {
                byte[] value = values.get(i);
                assertThat(blocks.get(i).toByteArray()).isEqualTo(value);
                for (int at = 0; at < value.length; at += PAGE) {
                    logical++;
                    if (blocks.get(i).isSealed()) {
                        shared.merge(ByteBuffer.wrap(Arrays.copyOfRange(value, at, at + PAGE)), 1, Integer::sum);
                    } else {
                        ownPages++;
                    }
                }
            }
            PoolStats stats = pool.stats();
            if (layout == Layout.PAGES) {
                assertThat(stats.usedBytes()).isEqualTo((shared.size() + ownPages) * PAGE);
                assertThat(stats.logicalBytes()).isEqualTo(logical * PAGE);
            } else {
                assertThat(stats.logicalBytes()).isBetween(stats.valueBytes(), logical * PAGE);
            }
            assertThat(stats.blocks()).isEqualTo(blocks.size());
            assertThat(stats.valueBytes())
                    .isEqualTo(values.stream().mapToLong(value -> value.length).sum());
        }

        void closeAll() {
            blocks.forEach(MergeBlock::close);
        }
    }

    /** Threads store, seal and close values with equal pieces, and read those of others. */
    @ParameterizedTest
    @CsvSource({"PAGES, false", "PAGES, true", "PACKED, false", "PACKED, true"})
    void threadsSeeCompleteValuesOnlyAndNothingIsLeft(Layout layout, boolean collides) throws Exception {
        int slots = 16;
        AtomicReferenceArray<MergeBlock> table = new AtomicReferenceArray<>(slots);
        ExecutorService threads = Executors.newFixedThreadPool(4);
        MergePool.Builder builder = builder(400).layout(layout).retainedShare(0.1);
        if (collides) {
            builder.hashes(pageSize -> (content, length) -> 0);
        }
        try (MergePool pool = builder.build()) {
            List<Callable<Integer>> works = new ArrayList<>();
            for (int thread = 0; thread < 4; thread++) {
                Random random = new Random(thread);
                works.add(() -> {
                    int reads = 0;
                    for (int i = 0; i < 4000; i++) {
                        int slot = random.nextInt(slots);
                        if (random.nextInt(3) == 0) {
                            byte[] value =
                                    Arrays.copyOf(value(1 + slot, 1 + random.nextInt(3), 1 + slot), 3 * PAGE - TAIL);
                            MergeBlock block;
                            if (random.nextBoolean()) {
                                block = pool.store(value);
                            } else {
                                block = pool.allocate(value.length);
                                block.put(0, value);
                                block.seal();
                            }
                            MergeBlock old = table.getAndSet(slot, block);
                            if (old != null) {
                                old.close();
                            }
                            continue;
                        }
                        MergeBlock block = table.get(slot);
                        if (block != null) {
                            try {
                                byte[] read = block.toByteArray();
                                assertThat(Arrays.copyOf(read, PAGE)).isEqualTo(value(1 + slot));
                                assertThat(Arrays.copyOfRange(read, 2 * PAGE, 3 * PAGE - TAIL))
                                        .isEqualTo(content(1 + slot, PAGE - TAIL));
                                reads++;
                            } catch (IllegalStateException closed) {
                                assertThat(closed).hasMessageContaining("closed");
                            }
                        }
                    }
                    return reads;
                });
            }
            for (Future<Integer> done : threads.invokeAll(works)) {
                assertThat(done.get()).isPositive();
            }
            for (int slot = 0; slot < slots; slot++) {
                MergeBlock block = table.get(slot);
                if (block != null) {
                    block.close();
                }
            }
            PoolStats stats = pool.stats();
            assertThat(stats.usedBytes()).isZero();
            assertThat(stats.blocks()).isZero();
            assertThat(stats.logicalBytes()).isZero();
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void smallValuesShareAPage() {
        try (MergePool pool = builder(64).layout(Layout.PACKED).build()) {
            List<MergeBlock> blocks = new ArrayList<>();
            int count = PAGE / 64;
            for (int i = 0; i < count; i++) {
                blocks.add(pool.store(content(1 + i, 64)));
                blocks.add(pool.store(content(1 + i, 64)));
            }
            assertThat(pool.stats().usedBytes()).isEqualTo(PAGE);
            assertThat(pool.stats().logicalBytes()).isEqualTo(2L * PAGE);
            assertThat(pool.stats().sharedStores()).isEqualTo(count);
            for (int i = 0; i < 2 * count; i++) {
                assertThat(blocks.get(i).toByteArray()).isEqualTo(content(1 + i / 2, 64));
            }
            for (int i = 0; i < 2 * count; i += 2) {
                blocks.get(i).close();
            }
            assertThat(pool.stats().usedBytes()).isEqualTo(PAGE);
            blocks.forEach(MergeBlock::close);
            assertThat(pool.stats().usedBytes()).isZero();
        }
    }

    @Test
    void whatExceedsAPageIsSharedByPageAndTheRestIsPacked() {
        try (MergePool pool = builder(64).layout(Layout.PACKED).build()) {
            byte[] one = Arrays.copyOf(value(1, 2), PAGE + 100);
            byte[] other = Arrays.copyOf(value(1, 3), PAGE + 100);
            MergeBlock block = pool.store(one);
            assertThat(pool.store(other).toByteArray()).isEqualTo(other);
            assertThat(block.toByteArray()).isEqualTo(one);
            assertThat(pool.stats().usedBytes())
                    .as("a page, and one with two rests")
                    .isEqualTo(2L * PAGE);
            assertThat(pool.regions().get(0).isMergeable()).isFalse();
        }
    }

    @Test
    void aPageHasAsManySmallValuesAsFitIfEachIsAnEighthLarger() {
        try (MergePool pool = builder(64).layout(Layout.PACKED).build()) {
            for (int size = 1; size < PAGE; size++) {
                try (MergeBlock block = pool.store(new byte[size])) {
                    assertThat(block.size()).isEqualTo(size);
                    assertThat(PAGE / pool.stats().logicalBytes())
                            .as("size %s", size)
                            .isGreaterThanOrEqualTo(PAGE / (size + size / 8 + 15));
                }
            }
        }
    }

    @Test
    void clearClosesAllBlocksAndThePoolStaysUsable() {
        try (MergePool pool = pool(64)) {
            MergeBlock old = pool.store(value(1, 2));
            MergeBlock open = pool.allocate(PAGE);
            pool.clear();
            assertThat(pool.stats().blocks()).isZero();
            assertThat(pool.stats().usedBytes()).isZero();
            for (MergeBlock block : List.of(old, open)) {
                assertThatIllegalStateException().isThrownBy(block::toByteArray).withMessageContaining("closed");
                block.close();
            }
            assertThatIllegalStateException().isThrownBy(open::seal);
            assertThat(pool.store(value(1)).toByteArray()).isEqualTo(value(1));
            assertThat(pool.stats().usedBytes()).isEqualTo(PAGE);
        }
    }

    @Test
    void aClosedPoolCannotBeCleared() {
        MergePool pool = pool(4);
        pool.close();
        assertThatIllegalStateException().isThrownBy(pool::clear);
        pool.trim();
        assertThat(pool.isOpen()).isFalse();
    }

    @Test
    void storingAndReadingWhileThePoolIsClearedLosesNothing() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(2);
        AtomicBoolean isDone = new AtomicBoolean();
        try (MergePool pool = pool(256)) {
            Callable<Integer> work = () -> {
                int stored = 0;
                while (!isDone.get()) {
                    try (MergeBlock block = pool.store(value(1, 2, 3))) {
                        assertThat(block.toByteArray()).isEqualTo(value(1, 2, 3));
                        stored++;
                    } catch (IllegalStateException closed) {
                        assertThat(closed).hasMessageContaining("closed");
                    }
                }
                return stored;
            };
            List<Future<Integer>> works = List.of(threads.submit(work), threads.submit(work));
            for (int i = 0; i < 30; i++) {
                pool.clear();
            }
            isDone.set(true);
            for (Future<Integer> done : works) {
                assertThat(done.get(PATIENCE.toSeconds(), TimeUnit.SECONDS)).isNotNegative();
            }
            assertThat(pool.stats().usedBytes()).isZero();
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void freePagesAreRetainedUpToTheirShareAndNeverShowOldBytes() {
        try (MergePool pool =
                MergePool.builder(KSM, 100L * PAGE).retainedShare(0.2).build()) {
            MergeBlock block = pool.store(value(1, 2, 3));
            block.close();
            assertThat(pool.stats().retainedBytes()).isEqualTo(3L * PAGE);
            assertThat(pool.allocate(3 * PAGE).toByteArray()).containsOnly(0);
            assertThat(pool.stats().retainedBytes()).isZero();

            MergeBlock large = pool.store(value(new int[90]));
            large.close();
            await().atMost(PATIENCE).until(() -> pool.stats().retainedBytes() <= 20L * PAGE);
            assertThat(pool.stats().usedBytes()).isEqualTo(3L * PAGE);
            pool.trim();
            assertThat(pool.stats().retainedBytes()).isZero();
            assertThat(pool.store(value(new int[97])).size()).isEqualTo(97 * PAGE);
        }
    }

    private static byte[] memory(MergePool pool) {
        MergeRegion region = pool.regions().get(0);
        byte[] bytes = new byte[(int) region.size()];
        region.buffer().get(0, bytes);
        return bytes;
    }

    private static List<ByteBuffer> pages(MergePool pool, int count) {
        byte[] memory = memory(pool);
        List<ByteBuffer> pages = new ArrayList<>();
        for (int page = 0; page < count; page++) {
            pages.add(ByteBuffer.wrap(memory, page * PAGE, PAGE).slice());
        }
        return pages;
    }

    @Test
    void poolsOfDifferentDomainsHaveNoPageInCommon() {
        try (MergePool plain = pool(8);
                MergePool one = builder(8).domain(MergeDomain.ofSecret(SECRET)).build();
                MergePool same = builder(8).domain(MergeDomain.ofSecret(SECRET)).build();
                MergePool other = builder(8).domain(MergeDomain.ofProcess()).build()) {
            byte[] value = Arrays.copyOf(value(1, 0, 2), 2 * PAGE + 10);
            List<List<ByteBuffer>> memories = new ArrayList<>();
            for (MergePool pool : List.of(plain, one, same, other)) {
                assertThat(pool.store(value).toByteArray()).isEqualTo(value);
                memories.add(pages(pool, 3));
            }
            assertThat(memories.get(1)).isEqualTo(memories.get(2));
            assertThat(memories.get(0)).doesNotContainAnyElementsOf(memories.get(1));
            assertThat(memories.get(3)).doesNotContainAnyElementsOf(memories.get(0));
            assertThat(memories.get(3)).doesNotContainAnyElementsOf(memories.get(1));
        }
    }

    @Test
    void unsealedBlocksOfADomainShowTheDomainsPagesOnly() {
        try (MergePool pool = builder(8).domain(MergeDomain.ofSecret(SECRET)).build()) {
            MergeBlock block = pool.allocate(PAGE + 30);
            block.put(1, content(5, PAGE));
            byte[] expected = new byte[PAGE + 30];
            System.arraycopy(content(5, PAGE), 0, expected, 1, PAGE);
            assertThat(block.toByteArray()).isEqualTo(expected);
            byte[] part = new byte[10];
            block.get(PAGE - 5, ByteBuffer.wrap(part));
            assertThat(part).isEqualTo(Arrays.copyOfRange(expected, PAGE - 5, PAGE + 5));
            assertThat(pages(pool, 2)).doesNotContain(ByteBuffer.allocate(PAGE));
        }
    }

    @Test
    void aDomainIsClearedOnCloseAndTellsNoSecret() {
        byte[] secret = SECRET.clone();
        MergeDomain domain = MergeDomain.ofSecret(secret);
        secret[0]++;
        try (MergePool pool = builder(8).domain(domain).build();
                MergePool same = builder(8).domain(MergeDomain.ofSecret(SECRET)).build()) {
            assertThat(domain.toString()).doesNotContain("0123");
            domain.close();
            domain.close();
            pool.store(value(1));
            same.store(value(1));
            assertThat(pages(pool, 1)).isEqualTo(pages(same, 1));
            pool.clear();
            assertThat(pool.store(value(2)).toByteArray()).isEqualTo(value(2));
            assertThatIllegalStateException()
                    .isThrownBy(() -> builder(8).domain(domain).build())
                    .withMessageContaining("closed");
        }
        MergeDomain.everybody().close();
        assertThat(MergeDomain.everybody().toString()).isEqualTo("domain of everybody");
        assertThatIllegalArgumentException().isThrownBy(() -> MergeDomain.ofSecret(new byte[15]));
    }

    @Test
    void badSettingsAreRefused() {
        for (double share : new double[] {-0.1, 1.1, Double.NaN}) {
            assertThatIllegalArgumentException().isThrownBy(() -> builder(8).retainedShare(share));
        }
        assertThatIllegalArgumentException()
                .isThrownBy(() -> builder(8).options(RegionOptions.DEFAULT.withPopulate(true)));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> MergePool.builder(KSM, PAGE - 1).build());
        assertThatIllegalArgumentException()
                .isThrownBy(() -> MergePool.builder(KSM, (long) PAGE << 31).build())
                .withMessageContaining("pages");
        assertThatIllegalArgumentException()
                .isThrownBy(
                        () -> builder((33L << 30) / PAGE).layout(Layout.PACKED).build())
                .withMessageContaining("PACKED");
    }

    @Test
    void theHashDependsOnEveryBitAndOnTheKey() {
        ContentHash hash = new KeyedContentHash(PAGE, new Random(1));
        ContentHash other = new KeyedContentHash(PAGE, new Random(2));
        byte[] page = content(1, PAGE);
        long before = hash.of(page, PAGE);
        assertThat(other.of(page, PAGE)).isNotEqualTo(before);
        for (int bit = 0; bit < PAGE * Byte.SIZE; bit++) {
            page[bit / Byte.SIZE] ^= (byte) (1 << bit % Byte.SIZE);
            assertThat(hash.of(page, PAGE)).as("bit %s", bit).isNotEqualTo(before);
            page[bit / Byte.SIZE] ^= (byte) (1 << bit % Byte.SIZE);
        }
        assertThat(hash.of(page, PAGE)).isEqualTo(before);
    }
}
