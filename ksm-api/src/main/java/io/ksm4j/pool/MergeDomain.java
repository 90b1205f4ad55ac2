// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.jspecify.annotations.Nullable;

/**
 * Who may share pages. Blocks of different domains never have a page in common, neither in a pool nor by {@code ksmd}.
 * Pools with equal domains share everything that is equal, also those of different processes.
 *
 * <pre>{@code
 * try (MergeDomain tenant = MergeDomain.ofSecret(secret)) {
 *     pool = MergePool.builder(ksm, capacity).domain(tenant).build();
 * }
 * }</pre>
 *
 * <p>The pool combines (XOR) each page with a pad of the size of a page, which HMAC-SHA-256 expands from the secret.
 * Pages that are equal before are equal afterwards in the same domain, and different in any other. Unused ends of pages
 * and zero-filled pages become the pad, too.
 *
 * <p><b>This is no encryption.</b> All pages of a domain have the same pad, so those who can read the memory and know
 * the content of one page know the pad. It stops those who cannot read the memory from finding out by sharing, such as
 * by the time of a write, what it contains. Within a domain everything is as without one: the time that storing a value
 * takes tells the members of the domain what is there already. {@code docs/operations.md} has the whole threat model.
 *
 * <p>Immutable except for {@link #close}, and safe for use by multiple threads.
 *
 * @since 0.1.0
 */
public final class MergeDomain implements AutoCloseable {

    private static final MergeDomain EVERYBODY = new MergeDomain(null);

    /** The minimum length of a secret: that of an AES-128 key. */
    private static final int MIN_SECRET = 16;

    private static final String ALGORITHM = "HmacSHA256";

    /** Distinguishes the pad from other uses of the secret. */
    private static final byte[] LABEL = {'k', 's', 'm', '4', 'j', ' ', 'p', 'a', 'd', ' ', '1'};

    private final byte @Nullable [] secret;
    private final ReentrantLock lock = new ReentrantLock();
    private boolean isClosed;

    private MergeDomain(byte @Nullable [] secret) {
        this.secret = secret;
    }

    /** {@return the domain of all who have no other: pages are stored as they are, and merge with all other memory} */
    public static MergeDomain everybody() {
        return EVERYBODY;
    }

    /** {@return a domain that no other process has, and no other call returns} */
    public static MergeDomain ofProcess() {
        byte[] random = new byte[32];
        new SecureRandom().nextBytes(random);
        return new MergeDomain(random);
    }

    /**
     * Returns the domain of all who know a secret.
     *
     * @param secret random bytes, at least 16; copied
     * @return a domain; equal secrets make equal domains
     * @throws IllegalArgumentException if the secret is shorter
     */
    public static MergeDomain ofSecret(byte[] secret) {
        if (secret.length < MIN_SECRET) {
            throw new IllegalArgumentException(
                    "the secret of a domain has " + secret.length + " bytes: at least " + MIN_SECRET + " are needed");
        }
        return new MergeDomain(secret.clone());
    }

    /**
     * Returns the pad of a domain.
     *
     * @return null if pages are stored as they are
     * @throws IllegalStateException if the domain is closed
     */
    @Nullable
    Pad pad(int pageSize) {
        if (secret == null) {
            return null;
        }
        lock.lock();
        try {
            if (isClosed) {
                throw new IllegalStateException("the domain is closed");
            }
            Mac mac = Mac.getInstance(ALGORITHM);
            mac.init(new SecretKeySpec(secret, ALGORITHM));
            byte[] pad = new byte[pageSize];
            int length = mac.getMacLength();
            for (int block = 0; block * length < pageSize; block++) {
                mac.update(LABEL);
                mac.update((byte) (block >>> 8));
                mac.update((byte) block);
                mac.doFinal(pad, block * length);
            }
            return new Pad(pad);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every Java has " + ALGORITHM, e);
        } finally {
            lock.unlock();
        }
    }

    /**
     * Clears the secret. Pools that were built with the domain stay usable. Closing {@link #everybody()}, or a domain
     * again, has no effect.
     */
    @Override
    public void close() {
        if (secret == null) {
            return;
        }
        lock.lock();
        try {
            Arrays.fill(secret, (byte) 0);
            isClosed = true;
        } finally {
            lock.unlock();
        }
    }

    /** {@return a text without the secret} */
    @Override
    public String toString() {
        return secret == null ? "domain of everybody" : "domain with a secret";
    }
}
