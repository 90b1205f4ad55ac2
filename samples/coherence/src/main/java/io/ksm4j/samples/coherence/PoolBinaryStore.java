// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.coherence;

import com.tangosol.io.BinaryStore;
import com.tangosol.util.Binary;
import io.ksm4j.pool.MergeBlock;
import io.ksm4j.pool.MergePool;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Keeps the values of a cache in a pool, where all equal pages are stored once, and the keys on the heap. Safe for use
 * by multiple threads.
 */
final class PoolBinaryStore implements BinaryStore {

    private final MergePool pool;
    private final Map<Binary, MergeBlock> blocks = new HashMap<>();

    PoolBinaryStore(MergePool pool) {
        this.pool = pool;
    }

    @Override
    public synchronized @Nullable Binary load(Binary key) {
        MergeBlock block = blocks.get(key);
        return block == null ? null : new Binary(block.toByteArray());
    }

    /**
     * Stores a value, and frees the one that it replaces.
     *
     * @throws io.ksm4j.pool.PoolExhaustedException if there is no room; then the key keeps its value
     */
    @Override
    public synchronized void store(Binary key, Binary value) {
        MergeBlock block = pool.store(value.toByteArray());
        boolean isStored = false;
        try {
            MergeBlock replaced = blocks.put(key, block);
            isStored = true;
            if (replaced != null) {
                replaced.close();
            }
        } finally {
            if (!isStored) {
                block.close();
            }
        }
    }

    @Override
    public synchronized void erase(Binary key) {
        MergeBlock block = blocks.remove(key);
        if (block != null) {
            block.close();
        }
    }

    @Override
    public synchronized void eraseAll() {
        blocks.values().forEach(MergeBlock::close);
        blocks.clear();
    }

    /** Returns the keys at the time of the call. */
    @Override
    public synchronized Iterator<Binary> keys() {
        return List.copyOf(blocks.keySet()).iterator();
    }

    /** Calls an action with the bytes of each value. */
    void forEachValue(Consumer<byte[]> action) {
        List<Binary> keys = new ArrayList<>();
        keys().forEachRemaining(keys::add);
        for (Binary key : keys) {
            Binary value = load(key);
            if (value != null) {
                action.accept(value.toByteArray());
            }
        }
    }
}
