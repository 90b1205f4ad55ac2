// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

/** A hash function of pieces of values. */
@FunctionalInterface
interface ContentHash {

    /**
     * Returns the hash of a piece.
     *
     * @param content its bytes, and zeros up to the end of its memory
     * @param length the number of bytes to hash, a multiple of 8; different lengths may have different hashes
     */
    long of(byte[] content, int length);
}
