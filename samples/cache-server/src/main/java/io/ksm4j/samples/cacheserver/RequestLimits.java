// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.time.Duration;
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
     * Adds bytes of incomplete requests, or subtracts them if the number is negative.
     *
     * @return false if the total is too large; the bytes are counted anyway
     */
    boolean hold(long bytes) {
        return incompleteBytes.addAndGet(bytes) <= maxRequestBytes;
    }
}
