// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/**
 * The name of a value and its tenant. Comparable, so that look-ups stay fast if many keys have the same hash code.
 *
 * <p>The first 24 bytes of the name are in fields, because most names are short: a look-up then reads one object less,
 * and a key takes 48 bytes instead of 64.
 */
final class Key implements Comparable<Key> {

    /** The maximum length of a name. Names are stored on the heap. */
    static final int MAX_BYTES = 64 << 10;

    /** The maximum number of tenants. */
    static final int MAX_TENANTS = 10_000;

    private static final int INLINE_BYTES = 3 * Long.BYTES;
    private static final int LENGTH_BITS = 17;
    private static final int ARRAY_HEADER_BYTES = 16;
    private static final long SEED = ThreadLocalRandom.current().nextLong() | 1;

    private final long first;
    private final long second;
    private final long third;
    private final byte @Nullable [] rest;
    private final int hash;
    private final int tenantAndLength;

    /** Creates the key with the name that a word of a request is. */
    Key(int tenant, Request request, int word) {
        int length = request.length(word);
        this.first = request.packed(word, 0);
        this.second = request.packed(word, Long.BYTES);
        this.third = request.packed(word, 2 * Long.BYTES);
        this.rest = length > INLINE_BYTES ? request.bytes(word, INLINE_BYTES) : null;
        this.tenantAndLength = tenant << LENGTH_BITS | length;
        // Multiplications by odd numbers, and the high half of each product: all bits of the name reach the result.
        long mixed = (first ^ SEED) * 0x9e3779b97f4a7c15L;
        mixed = ((mixed ^ mixed >>> 32) + second) * 0xbf58476d1ce4e5b9L;
        mixed = ((mixed ^ mixed >>> 32) + third) * 0x94d049bb133111ebL;
        mixed = ((mixed ^ mixed >>> 32) + tenantAndLength + Arrays.hashCode(rest)) * 0x9e3779b97f4a7c15L;
        this.hash = (int) (mixed >>> 32);
    }

    int tenant() {
        return tenantAndLength >>> LENGTH_BITS;
    }

    byte[] name() {
        byte[] inline = new byte[INLINE_BYTES];
        ByteBuffer.wrap(inline).putLong(first).putLong(second).putLong(third);
        int length = tenantAndLength & ((1 << LENGTH_BITS) - 1);
        byte[] name = Arrays.copyOf(inline, length);
        if (rest != null) {
            System.arraycopy(rest, 0, name, INLINE_BYTES, rest.length);
        }
        return name;
    }

    /** {@return the heap memory in addition to this object} */
    int heapBytes() {
        return rest == null ? 0 : ARRAY_HEADER_BYTES + rest.length;
    }

    @Override
    public int hashCode() {
        return hash;
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof Key key
                && hash == key.hash
                && tenantAndLength == key.tenantAndLength
                && first == key.first
                && second == key.second
                && third == key.third
                && Arrays.equals(rest, key.rest);
    }

    @Override
    public int compareTo(Key other) {
        int result = Integer.compare(tenantAndLength, other.tenantAndLength);
        result = result != 0 ? result : Long.compare(first, other.first);
        result = result != 0 ? result : Long.compare(second, other.second);
        result = result != 0 ? result : Long.compare(third, other.third);
        return result != 0 ? result : Arrays.compare(rest, other.rest);
    }
}
