package io.ksm4j.benchmarks;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;

/**
 * Values that tell which key and version they belong to, so that each can be checked by itself: key, version, length, and bytes that
 * follow from them. Some keys and versions have those in common, so that pages merge.
 */
final class SoakValues {

    static final int MOST_BYTES = 64 << 10;

    private static final int HEADER = Integer.BYTES + Long.BYTES + Integer.BYTES;
    private static final int PATTERNS = 64;

    private final byte[][] patterns = new byte[PATTERNS][MOST_BYTES];

    SoakValues() {
        for (int i = 0; i < PATTERNS; i++) {
            new Random(i).nextBytes(patterns[i]);
        }
    }

    /** With at least 16 and at most {@link #MOST_BYTES} bytes. */
    byte[] value(int key, long version, int length) {
        byte[] value = pattern(key, version).clone();
        ByteBuffer.wrap(value).putInt(key).putLong(version).putInt(length);
        return Arrays.copyOf(value, length);
    }

    private byte[] pattern(int key, long version) {
        return patterns[Math.floorMod(key % 16 + 16 * version, PATTERNS)];
    }

    /**
     * The version of a value that was read.
     *
     * @throws WrongValueException if it is not exactly what was stored for this key, in some version
     */
    long version(int key, byte[] value) {
        if (value.length < HEADER) {
            throw new WrongValueException("key " + key + " has but " + value.length + " bytes");
        }
        ByteBuffer header = ByteBuffer.wrap(value);
        int writtenFor = header.getInt();
        long version = header.getLong();
        int length = header.getInt();
        if (writtenFor != key || length != value.length) {
            throw new WrongValueException("key " + key + " has " + value.length + " bytes, those written for key "
                    + writtenFor + " as " + length + " bytes");
        }
        int wrong = Arrays.mismatch(
                value, HEADER, value.length, pattern(key, version), HEADER, Math.min(length, MOST_BYTES));
        if (wrong >= 0) {
            throw new WrongValueException(
                    "key " + key + ", version " + version + ": wrong from byte " + (HEADER + wrong) + " of " + length);
        }
        return version;
    }

    /** Something was read that nobody has written so. */
    static final class WrongValueException extends RuntimeException {

        private static final long serialVersionUID = 1;

        WrongValueException(String message) {
            super(message);
        }
    }
}
