// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import java.nio.ByteBuffer;
import java.util.zip.CRC32;
import java.util.zip.CRC32C;

/**
 * Computes 64-bit hashes of pages: CRC-32 in the upper half and CRC-32C in the lower, mixed. For use by one thread.
 *
 * <p>Together, the two are the remainder of a division by a polynomial of degree 64, so pages with different contents
 * have the same hash as rarely as with any other hash that has no key. The JVM has instructions of the processor for
 * both even in its interpreter, and reads a direct buffer where it is: reading a process takes so little time that code
 * which is to be compiled first would determine how long it takes.
 */
final class PageHash {

    private final CRC32 crc32 = new CRC32();
    private final CRC32C crc32c = new CRC32C();

    /** Returns the hash of a part of a buffer. Changes the buffer's position and limit. */
    long of(ByteBuffer pages, int from, int length) {
        crc32.reset();
        crc32.update(pages.limit(from + length).position(from));
        crc32c.reset();
        crc32c.update(pages.position(from));
        return mixed(crc32.getValue() << Integer.SIZE | crc32c.getValue());
    }

    /**
     * The finalizer of MurmurHash3, which maps no two values to the same. Without it, the hashes of pages that differ
     * in few bits would be evenly spread only as a whole, but {@link ContentTable} samples by some of their bits.
     */
    private static long mixed(long value) {
        long mixed = (value ^ value >>> 33) * 0xff51afd7ed558ccdL;
        mixed = (mixed ^ mixed >>> 33) * 0xc4ceb9fe1a85ec53L;
        return mixed ^ mixed >>> 33;
    }
}
