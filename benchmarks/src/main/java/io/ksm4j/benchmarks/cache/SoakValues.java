// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;

/**
 * Values that contain their key and version, so that each can be checked alone: key, version, length, and bytes that
 * depend on key and version. Some keys and versions have the same bytes, so that pages merge.
 */
final class SoakValues {

    static final int MAX_BYTES = 64 << 10;

    private static final int HEADER = Integer.BYTES + Long.BYTES + Integer.BYTES;
    private static final int PATTERNS = 64;

    private final byte[][] patterns = new byte[PATTERNS][MAX_BYTES];

    SoakValues() {
        for (int i = 0; i < PATTERNS; i++) {
            new Random(i).nextBytes(patterns[i]);
        }
    }

    /** Returns a value of 16 to {@link #MAX_BYTES} bytes. */
    byte[] value(int key, long version, int length) {
        byte[] value = pattern(key, version).clone();
        ByteBuffer.wrap(value).putInt(key).putLong(version).putInt(length);
        return Arrays.copyOf(value, length);
    }

    private byte[] pattern(int key, long version) {
        return patterns[Math.floorMod(key % 16 + 16 * version, PATTERNS)];
    }

    /**
     * Returns the version of a value that was read.
     *
     * @throws WrongValueException if the value was not stored in exactly this form for any version of this key
     */
    long version(int key, byte[] value) {
        if (value.length < HEADER) {
            throw new WrongValueException("key " + key + " has only " + value.length + " bytes");
        }
        ByteBuffer header = ByteBuffer.wrap(value);
        int writtenFor = header.getInt();
        long version = header.getLong();
        int length = header.getInt();
        if (writtenFor != key || length != value.length) {
            throw new WrongValueException("key " + key + " has " + value.length
                    + " bytes, but they were written for key " + writtenFor + " as " + length + " bytes");
        }
        int wrong = Arrays.mismatch(
                value, HEADER, value.length, pattern(key, version), HEADER, Math.min(length, MAX_BYTES));
        if (wrong >= 0) {
            throw new WrongValueException(
                    "key " + key + ", version " + version + ": wrong from byte " + (HEADER + wrong) + " of " + length);
        }
        return version;
    }

    /** A value was read that was never written. */
    static final class WrongValueException extends RuntimeException {

        private static final long serialVersionUID = 1;

        WrongValueException(String message) {
            super(message);
        }
    }
}
