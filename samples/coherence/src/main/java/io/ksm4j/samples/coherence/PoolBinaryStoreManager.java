// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.coherence;

import com.tangosol.io.BinaryStore;
import com.tangosol.io.BinaryStoreManager;
import io.ksm4j.Ksm;
import io.ksm4j.pool.Deduplication;
import io.ksm4j.pool.Layout;
import io.ksm4j.pool.MergePool;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * Makes the stores of this JVM: Coherence asks for one for the primary entries of each cache, and one for the backups.
 * All of them share a pool. The cache configuration names this class.
 */
public final class PoolBinaryStoreManager implements BinaryStoreManager {

    /** The system property with the capacity of the pool in bytes. */
    static final String CAPACITY = "io.ksm4j.samples.coherence.capacity";

    /** Created with the first store, so that a JVM that stores nothing has no pool. */
    private static final class Member {

        /**
         * {@link Layout#PACKED}, because of the few bytes that Coherence adds to each value: four pages of data become
         * four pages and four bytes, for which other layouts need a fifth page.
         */
        static final MergePool POOL = MergePool.builder(Ksm.systemOrFallback(), Long.getLong(CAPACITY, 1L << 30))
                .deduplication(Deduplication.ON_STORE)
                .layout(Layout.PACKED)
                .build();

        static final List<PoolBinaryStore> STORES = new CopyOnWriteArrayList<>();
    }

    /** Called by Coherence. */
    public PoolBinaryStoreManager() {}

    @Override
    public BinaryStore createBinaryStore() {
        PoolBinaryStore store = new PoolBinaryStore(Member.POOL);
        Member.STORES.add(store);
        return store;
    }

    @Override
    public void destroyBinaryStore(BinaryStore store) {
        store.eraseAll();
        Member.STORES.remove(store);
    }

    static MergePool pool() {
        return Member.POOL;
    }

    static List<PoolBinaryStore> stores() {
        return Member.STORES;
    }
}
