// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.random.RandomGenerator;

/**
 * A hash function that depends on a random key, so that no one without the key can choose pieces that
 * collide.
 *
 * <p>It is NH (Black, Halevi, Krawczyk, Krovetz, Rogaway: UMAC, 1999): the sum of products of two 32-bit halves, to
 * each of which its part of the key is added. Two different pieces have the same sum for one key in 2^32 at most. The
 * sum is then mixed, so that any of its bits can be used.
 */
final class KeyedContentHash implements ContentHash {

    private static final VarHandle LONGS = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.nativeOrder());

    private static final long LOW = 0xffff_ffffL;

    private final long[] key;

    KeyedContentHash(int pageSize, RandomGenerator random) {
        byte[] bytes = new byte[pageSize];
        random.nextBytes(bytes);
        key = new long[pageSize / Long.BYTES];
        ByteBuffer.wrap(bytes).asLongBuffer().get(key);
    }

    @Override
    public long of(byte[] content, int length) {
        int words = length / Long.BYTES;
        long sum = 0;
        for (int i = 0; i < words; i++) {
            long word = (long) LONGS.get(content, i * Long.BYTES);
            long low = (word + key[i]) & LOW;
            long high = ((word >>> 32) + (key[i] >>> 32)) & LOW;
            sum += low * high;
        }
        return mix(sum);
    }

    /** The finalizer of MurmurHash3, which is a permutation. */
    private static long mix(long hash) {
        long mixed = (hash ^ (hash >>> 33)) * 0xff51afd7ed558ccdL;
        mixed = (mixed ^ (mixed >>> 33)) * 0xc4ceb9fe1a85ec53L;
        return mixed ^ (mixed >>> 33);
    }
}
