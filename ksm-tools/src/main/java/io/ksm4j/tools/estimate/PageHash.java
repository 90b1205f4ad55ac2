// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

/**
 * Computes 64-bit hashes of pages: XXH64 with seed 0 (xxHash by Yann Collet, doc/xxhash_spec.md), without the part for
 * input that is not a multiple of 32 bytes.
 *
 * <p>Reading takes so little time that it matters how soon this code is compiled. XXH3 has much longer code, and is no
 * faster once it is compiled. Words of an array are much faster than bytes, or a buffer, until then.
 */
final class PageHash {

    private static final long PRIME1 = 0x9E3779B185EBCA87L;
    private static final long PRIME2 = 0xC2B2AE3D27D4EB4FL;
    private static final long PRIME3 = 0x165667B19E3779F9L;
    private static final long PRIME4 = 0x85EBCA77C2B2AE63L;

    /** The sum of the first two, without the bit that overflows. */
    private static final long SUM_OF_PRIMES = 0x60EA27EEADC0B5D6L;

    private PageHash() {}

    /**
     * Returns the hash of some words.
     *
     * @param count the number of words, a multiple of 4
     */
    static long of(long[] words, int from, int count) {
        long lane1 = SUM_OF_PRIMES;
        long lane2 = PRIME2;
        long lane3 = 0;
        long lane4 = -PRIME1;
        for (int i = from; i < from + count; i += 4) {
            lane1 = round(lane1, words[i]);
            lane2 = round(lane2, words[i + 1]);
            lane3 = round(lane3, words[i + 2]);
            lane4 = round(lane4, words[i + 3]);
        }
        long hash = Long.rotateLeft(lane1, 1)
                + Long.rotateLeft(lane2, 7)
                + Long.rotateLeft(lane3, 12)
                + Long.rotateLeft(lane4, 18);
        hash = merge(merge(merge(merge(hash, lane1), lane2), lane3), lane4);
        return avalanche(hash + (long) count * Long.BYTES);
    }

    private static long round(long lane, long word) {
        return Long.rotateLeft(lane + word * PRIME2, 31) * PRIME1;
    }

    private static long merge(long hash, long lane) {
        return (hash ^ round(0, lane)) * PRIME1 + PRIME4;
    }

    private static long avalanche(long sum) {
        long hash = (sum ^ sum >>> 33) * PRIME2;
        hash = (hash ^ hash >>> 29) * PRIME3;
        return hash ^ hash >>> 32;
    }
}
