// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

/** The limits for requests, and the total size of all incomplete requests. Thread-safe. */
final class RequestLimits {

    static final int MAX_WORDS = 1 << 20;

    /** The approximate memory of a word in addition to its bytes. */
    static final int WORD_BYTES = 128;

    /** The limit of Redis. */
    private static final int MAX_WORD_BYTES = 512 << 20;

    private static final int MIN_INCOMPLETE_BYTES = 64 << 20;

    private final int maxWordBytes;
    private final long maxRequestBytes;
    private final Duration timeout;
    private final AtomicLong incompleteBytes = new AtomicLong();

    /** What the clients with incomplete requests hold. */
    private final Map<Connection, Long> holders = new HashMap<>();

    /**
     * Creates limits.
     *
     * @param maxValueBytes the size of the longest value that can be stored
     * @param maxIncompleteBytes how much memory all incomplete requests together may take
     */
    RequestLimits(long maxValueBytes, long maxIncompleteBytes, Duration timeout) {
        // A request is copied to a buffer of twice its size while it grows.
        this.maxWordBytes = (int) Math.min(Math.min(MAX_WORD_BYTES, maxValueBytes), maxIncompleteBytes / 3);
        this.maxRequestBytes = Math.min(Math.max(MIN_INCOMPLETE_BYTES, maxWordBytes) * 2L, maxIncompleteBytes);
        this.timeout = timeout;
    }

    int maxWordBytes() {
        return maxWordBytes;
    }

    long maxRequestBytes() {
        return maxRequestBytes;
    }

    /** Returns how long a client with an incomplete request may send nothing. */
    Duration timeout() {
        return timeout;
    }

    /**
     * Sets the size of the incomplete request of a client. If the total is too large, clients with larger ones are
     * refused first, because otherwise a few of them would keep out all others.
     *
     * @return false if this client has to be refused
     */
    boolean hold(Connection client, long bytes) {
        List<Connection> refused = new ArrayList<>();
        boolean fits = hold(client, bytes, refused);
        refused.forEach(Connection::refuseIncomplete);
        return fits;
    }

    private synchronized boolean hold(Connection client, long bytes, List<Connection> refused) {
        set(client, bytes);
        while (incompleteBytes.get() > maxRequestBytes) {
            Connection largest = holders.entrySet().stream()
                    .max(Map.Entry.comparingByValue())
                    .map(Map.Entry::getKey)
                    .orElse(client);
            if (largest == client) {
                return false;
            }
            set(largest, 0);
            refused.add(largest);
        }
        return true;
    }

    private void set(Connection client, long bytes) {
        Long before = bytes == 0 ? holders.remove(client) : holders.put(client, bytes);
        incompleteBytes.addAndGet(bytes - (before == null ? 0 : before));
    }

    /**
     * Adds bytes of incomplete requests, or subtracts them if the number is negative.
     *
     * @return false if the total is too large; the bytes are counted anyway
     */
    boolean hold(long bytes) {
        return incompleteBytes.addAndGet(bytes) <= maxRequestBytes;
    }
}
