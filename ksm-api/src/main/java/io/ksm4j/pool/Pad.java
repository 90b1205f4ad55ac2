// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import java.util.Arrays;

/** The bytes that each page of a domain is combined with (XOR). */
final class Pad {

    private final byte[] bytes;

    /** Keeps the array. */
    Pad(byte[] bytes) {
        this.bytes = bytes;
    }

    /** Combines a part of a page with the same part of the pad. */
    void combine(byte[] page, int from, int to) {
        for (int i = from; i < to; i++) {
            page[i] ^= bytes[i];
        }
    }

    void clear() {
        Arrays.fill(bytes, (byte) 0);
    }
}
