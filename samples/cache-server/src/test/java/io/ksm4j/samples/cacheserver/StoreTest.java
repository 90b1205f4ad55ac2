// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.pool.Deduplication;
import io.ksm4j.pool.MergeBlock;
import io.ksm4j.pool.PoolStats;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Tests concurrent access to one key. */
class StoreTest {

    private static ByteBuffer bytes(String text) {
        return StandardCharsets.US_ASCII.encode(text);
    }

    @Test
    void incrementDoesNotLoseConcurrentWrites() throws Exception {
        Ksm ksm = Ksm.systemOrFallback();
        TenantPools pools = new TenantPools(ksm, 1 << 20, RegionOptions.DEFAULT, Deduplication.ON_STORE, 1, Map.of());
        Key key = RequestParserTest.key(0, "n");
        AtomicBoolean enough = new AtomicBoolean();
        ExecutorService thread = Executors.newSingleThreadExecutor();
        try (Store store = new Store(pools, 1 << 20)) {
            Future<?> counting = thread.submit(() -> {
                while (!enough.get()) {
                    store.increment(key, 1);
                }
            });
            try {
                for (int i = 0; i < 20_000; i++) {
                    long number = 1_000_000_000 + i * 100_000L;
                    store.set(key, bytes(Long.toString(number)), Store.NEVER);
                    assertThat(store.increment(key, 1)).isBetween(number + 1, number + 99_999);
                }
            } finally {
                enough.set(true);
                counting.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
            }
        } finally {
            thread.shutdownNow();
        }
    }

    @Test
    void everyBlockIsClosedOnceWhateverReplacesIt() throws Exception {
        Ksm ksm = Ksm.systemOrFallback();
        ExecutorService threads = Executors.newFixedThreadPool(3);
        try (Store store = new Store(
                new TenantPools(ksm, 1 << 20, RegionOptions.DEFAULT, Deduplication.ON_STORE, 1, Map.of()), 1 << 20)) {
            List<Key> keys = IntStream.range(0, 4)
                    .mapToObj(i -> RequestParserTest.key(0, "key" + i))
                    .toList();
            List<Future<?>> all = new ArrayList<>();
            for (int thread = 0; thread < 3; thread++) {
                Random random = new Random(thread);
                all.add(threads.submit(() -> {
                    for (int i = 0; i < 20_000; i++) {
                        change(store, keys.get(random.nextInt(keys.size())), random);
                    }
                }));
            }
            for (Future<?> each : all) {
                each.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
            }
            keys.forEach(store::delete);
            PoolStats pool = store.snapshot(0, 0, 0, Snapshot.Merging.NONE, Snapshot.Ksmd.UNKNOWN)
                    .pool();
            assertThat(pool.blocks()).isZero();
            assertThat(pool.valueBytes()).isZero();
            assertThat(store.keys(0)).isZero();
        } finally {
            threads.shutdownNow();
        }
    }

    private static void change(Store store, Key key, Random random) {
        String number = Integer.toString(random.nextInt(1000));
        switch (random.nextInt(12)) {
            case 0 -> store.set(key, bytes(number), Store.NEVER);
            case 1 -> store.set(key, bytes(number), Store.now() + random.nextInt(3));
            case 2 -> store.set(key, bytes(number), Store.SAME, Store.Condition.PRESENT, null);
            case 3 -> store.set(key, bytes(number), Store.NEVER, Store.Condition.ABSENT, null);
            case 4 -> store.expire(key, Store.now() + random.nextInt(3), Store.ExpireCondition.ALWAYS);
            case 5 -> store.delete(key);
            case 6 -> store.get(key, new ShortValues());
            case 7 -> store.take(key, new ShortValues());
            case 8 -> store.persist(key);
            case 9 -> store.change(key, (old, isPresent) -> isPresent ? old : null);
            case 10 -> store.set(key, bytes(number), Store.NEVER, Store.Condition.ALWAYS, new ShortValues());
            default -> store.increment(key, 1);
        }
    }

    /** Checks that values are short. */
    private static final class ShortValues implements Store.Reader {

        @Override
        public void read(MergeBlock block) {
            assertThat(block.size()).isBetween(1, 20);
        }

        @Override
        public void read(long number) {
            assertThat(number).isPositive();
        }
    }

    @Test
    void flushingWhileOthersWriteAndFlushNeitherHangsNorLeavesRegions() throws Exception {
        Ksm ksm = Ksm.systemOrFallback();
        long before = MergeRegistry.system().openRegions();
        ExecutorService threads = Executors.newFixedThreadPool(3);
        try (Store store = new Store(
                new TenantPools(ksm, 1 << 20, RegionOptions.DEFAULT, Deduplication.ON_STORE, 1, Map.of()), 1 << 20)) {
            Key number = RequestParserTest.key(0, "n");
            Key text = RequestParserTest.key(0, "t");
            AtomicBoolean enough = new AtomicBoolean();
            Future<?> writing = threads.submit(() -> {
                while (!enough.get()) {
                    store.increment(number, 1);
                    store.set(text, bytes("5"), Store.NEVER);
                    store.get(text, new ShortValues());
                }
            });
            Runnable flush = () -> {
                for (int i = 0; i < 100; i++) {
                    store.clear();
                }
            };
            try {
                for (Future<?> flushing : List.of(threads.submit(flush), threads.submit(flush))) {
                    flushing.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
                }
            } finally {
                enough.set(true);
                writing.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
            }
        } finally {
            threads.shutdownNow();
        }
        await().atMost(PATIENCE).until(() -> MergeRegistry.system().openRegions() == before);
    }
}
