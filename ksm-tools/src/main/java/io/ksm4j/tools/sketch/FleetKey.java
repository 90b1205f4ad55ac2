// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.sketch;

import io.ksm4j.tools.output.CommandFailedException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.security.GeneralSecurityException;
import java.util.Set;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * The secret of a fleet. It turns the hash of a page, which anyone can compute for a page that they know, into one that
 * others cannot compute without the key.
 */
public final class FleetKey {

    /** How to create a key. */
    public static final String ADVICE =
            "create one with (umask 077; head -c 32 /dev/urandom > ksm.key)," + " and use the same on every host";

    private static final int MIN_BYTES = 32;
    private static final int MAX_BYTES = 4096;

    private static final String ALGORITHM = "HmacSHA256";

    private final long k0;
    private final long k1;
    private final long id;

    FleetKey(long k0, long k1, long id) {
        this.k0 = k0;
        this.k1 = k1;
        this.id = id;
    }

    /**
     * Reads a key.
     *
     * @throws CommandFailedException if the file is too short or too long, or every user of the machine may read it
     * @throws IOException if it cannot be read
     */
    public static FleetKey read(Path file) throws IOException {
        byte[] secret;
        if (Files.isDirectory(file)) {
            throw new CommandFailedException(file + " is a directory: specify the file with the key");
        }
        try (InputStream in = Files.newInputStream(file)) {
            secret = in.readNBytes(MAX_BYTES + 1);
        }
        if (secret.length < MIN_BYTES || secret.length > MAX_BYTES) {
            throw new CommandFailedException(
                    file + " is not a key, which has " + MIN_BYTES + " to " + MAX_BYTES + " random bytes: " + ADVICE);
        }
        Set<PosixFilePermission> permissions = Files.getPosixFilePermissions(file);
        if (permissions.contains(PosixFilePermission.OTHERS_READ)
                || permissions.contains(PosixFilePermission.OTHERS_WRITE)) {
            throw new CommandFailedException(
                    "every user has access to the key in " + file + ": create another one, with mode 0600");
        }
        return of(secret);
    }

    /** Derives one key for pages and another for the ID, so that the ID says nothing about the other. */
    static FleetKey of(byte[] secret) {
        ByteBuffer pages = hmac(secret, "ksm4j sketch: pages");
        return new FleetKey(
                pages.getLong(),
                pages.getLong(),
                hmac(secret, "ksm4j sketch: ID").getLong());
    }

    private static ByteBuffer hmac(byte[] secret, String purpose) {
        try {
            Mac mac = Mac.getInstance(ALGORITHM);
            mac.init(new SecretKeySpec(secret, ALGORITHM));
            return ByteBuffer.wrap(mac.doFinal(purpose.getBytes(StandardCharsets.US_ASCII)));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every JDK has " + ALGORITHM, e);
        }
    }

    /** Returns a number that is the same for the same key. */
    long id() {
        return id;
    }

    /**
     * Returns the keyed hash of a page: SipHash-2-4 (Aumasson and Bernstein, 2012) of the hash of its content, without
     * the sign bit.
     */
    public long hash(long hashOfPage) {
        return sipHash(hashOfPage) >>> 1;
    }

    /** Returns SipHash-2-4 of eight bytes. */
    long sipHash(long message) {
        State state = new State(k0, k1);
        state.absorb(message);
        state.absorb((long) Long.BYTES << 56);
        return state.finish();
    }

    /** The state of SipHash. */
    private static final class State {
        private long v0;
        private long v1;
        private long v2;
        private long v3;

        State(long k0, long k1) {
            v0 = k0 ^ 0x736f6d6570736575L;
            v1 = k1 ^ 0x646f72616e646f6dL;
            v2 = k0 ^ 0x6c7967656e657261L;
            v3 = k1 ^ 0x7465646279746573L;
        }

        void absorb(long word) {
            v3 ^= word;
            round();
            round();
            v0 ^= word;
        }

        long finish() {
            v2 ^= 0xff;
            for (int i = 0; i < 4; i++) {
                round();
            }
            return v0 ^ v1 ^ v2 ^ v3;
        }

        private void round() {
            v0 += v1;
            v1 = Long.rotateLeft(v1, 13) ^ v0;
            v0 = Long.rotateLeft(v0, 32);
            v2 += v3;
            v3 = Long.rotateLeft(v3, 16) ^ v2;
            v0 += v3;
            v3 = Long.rotateLeft(v3, 21) ^ v0;
            v2 += v1;
            v1 = Long.rotateLeft(v1, 17) ^ v2;
            v2 = Long.rotateLeft(v2, 32);
        }
    }
}
