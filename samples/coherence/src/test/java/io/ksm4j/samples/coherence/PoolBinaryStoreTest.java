// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.coherence;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.tangosol.util.Binary;
import com.tangosol.util.ExternalizableHelper;
import io.ksm4j.Ksm;
import io.ksm4j.pool.Deduplication;
import io.ksm4j.pool.Layout;
import io.ksm4j.pool.MergePool;
import io.ksm4j.pool.PoolExhaustedException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class PoolBinaryStoreTest {

    private static final int SIZE = 16 << 10;

    private final MergePool pool = pool(16 << 20);
    private final PoolBinaryStore store = new PoolBinaryStore(pool);

    private static MergePool pool(long capacity) {
        return MergePool.builder(Ksm.systemOrFallback(), capacity)
                .deduplication(Deduplication.ON_STORE)
                .layout(Layout.PACKED)
                .build();
    }

    @AfterEach
    void nothingIsLeft() {
        store.eraseAll();
        assertThat(pool.usedBytes()).isZero();
        pool.close();
    }

    private static Binary key(int key) {
        return ExternalizableHelper.toBinary(key);
    }

    /** Returns a value as Coherence passes it: with the bytes that its serializer adds. */
    private static Binary value(int seed) {
        byte[] value = new byte[SIZE];
        new Random(seed).nextBytes(value);
        return ExternalizableHelper.toBinary(value);
    }

    @Test
    void entriesAreFoundReplacedAndErased() {
        store.store(key(1), value(1));
        store.store(key(2), value(2));
        store.store(key(1), value(3));

        assertThat(store.load(key(1))).isEqualTo(value(3));
        assertThat(store.load(key(2))).isEqualTo(value(2));
        assertThat(store.load(key(3))).isNull();
        assertThat(store.keys()).toIterable().containsExactlyInAnyOrder(key(1), key(2));
        assertThat(pool.stats().blocks()).isEqualTo(2);

        store.erase(key(1));
        store.erase(key(3));
        assertThat(store.load(key(1))).isNull();
        assertThat(store.keys()).toIterable().containsExactly(key(2));
    }

    @Test
    void serializersAddLessThanAPageToTheMemoryOfAValue() {
        int values = 200;
        for (int i = 0; i < values; i++) {
            store.store(key(i), value(i));
        }
        assertThat(value(0).length()).isGreaterThan(SIZE);
        assertThat(pool.usedBytes()).isBetween((long) values * SIZE, 105L * values * SIZE / 100);
    }

    @Test
    void equalValuesOfSeveralStoresAreStoredOnce() {
        store.store(key(1), value(1));
        long one = pool.usedBytes();
        List<PoolBinaryStore> others = new ArrayList<>();
        for (int tenant = 0; tenant < 8; tenant++) {
            PoolBinaryStore other = new PoolBinaryStore(pool);
            others.add(other);
            other.store(key(1), value(1));
        }
        assertThat(pool.usedBytes()).isEqualTo(one);

        store.erase(key(1));
        assertThat(others).allSatisfy(other -> assertThat(other.load(key(1))).isEqualTo(value(1)));
        others.forEach(PoolBinaryStore::eraseAll);
    }

    @Test
    void aKeyKeepsItsValueIfThereIsNoRoomForAnother() {
        try (MergePool small = pool(64 << 10)) {
            PoolBinaryStore full = new PoolBinaryStore(small);
            full.store(key(1), value(1));
            assertThatThrownBy(() -> {
                        for (int i = 0; i < 8; i++) {
                            full.store(key(1), value(1));
                            full.store(key(2 + i), value(2 + i));
                        }
                    })
                    .isExactlyInstanceOf(PoolExhaustedException.class);
            assertThat(full.load(key(1))).isEqualTo(value(1));
            full.eraseAll();
        }
    }

    @Test
    void valuesAreVisitedOnce() {
        store.store(key(1), value(1));
        store.store(key(2), value(2));
        List<Binary> visited = new ArrayList<>();
        store.forEachValue(value -> visited.add(new Binary(value)));
        assertThat(visited).containsExactlyInAnyOrder(value(1), value(2));
    }
}
