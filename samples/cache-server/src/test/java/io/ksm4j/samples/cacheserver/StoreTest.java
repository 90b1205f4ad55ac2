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
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;

/** Tests concurrent access to one key. */
class StoreTest {

    private static ByteBuf bytes(String text) {
        return Unpooled.copiedBuffer(text, StandardCharsets.US_ASCII);
    }

    @Test
    void incrementDoesNotLoseConcurrentWrites() throws Exception {
        Ksm ksm = Ksm.systemOrFallback();
        TenantPools pools = new TenantPools(ksm, 1 << 20, RegionOptions.DEFAULT, Deduplication.ON_STORE, 1, Map.of());
        Key key = new Key(0, bytes("n"));
        AtomicBoolean enough = new AtomicBoolean();
        ExecutorService thread = Executors.newSingleThreadExecutor();
        try (Store store = new Store(pools)) {
            Future<?> counting = thread.submit(() -> {
                while (!enough.get()) {
                    store.increment(key);
                }
            });
            try {
                for (int i = 0; i < 20_000; i++) {
                    long number = 1_000_000_000 + i * 100_000L;
                    store.set(key, bytes(Long.toString(number)), Store.NEVER);
                    assertThat(store.increment(key)).isBetween(number + 1, number + 99_999);
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
    void flushingWhileOthersWriteAndFlushNeitherHangsNorLeavesRegions() throws Exception {
        Ksm ksm = Ksm.systemOrFallback();
        long before = MergeRegistry.system().openRegions();
        ExecutorService threads = Executors.newFixedThreadPool(3);
        try (Store store =
                new Store(new TenantPools(ksm, 1 << 20, RegionOptions.DEFAULT, Deduplication.ON_STORE, 1, Map.of()))) {
            Key number = new Key(0, bytes("n"));
            Key text = new Key(0, bytes("t"));
            AtomicBoolean enough = new AtomicBoolean();
            Future<?> writing = threads.submit(() -> {
                while (!enough.get()) {
                    store.increment(number);
                    store.set(text, bytes("some text"), Store.NEVER);
                    store.get(text, block -> assertThat(block.size()).isEqualTo(9));
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
