package io.ksm4j.samples.cacheserver;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;

/** What clients may ask for at most, and what those requests hold together that are still coming. Safe for use by many threads. */
final class RequestLimits {

    static final int MOST_WORDS = 1 << 20;

    /** What Redis allows, too. */
    private static final int MOST_WORD_BYTES = 512 << 20;

    private static final int LEAST_HALF_SENT = 64 << 20;

    private final int mostWordBytes;
    private final Duration patience;
    private final AtomicLong halfSent = new AtomicLong();

    RequestLimits(long mostValueBytes, Duration patience) {
        this.mostWordBytes = (int) Math.min(MOST_WORD_BYTES, mostValueBytes);
        this.patience = patience;
    }

    int mostWordBytes() {
        return mostWordBytes;
    }

    long mostRequestBytes() {
        return Math.max(LEAST_HALF_SENT, mostWordBytes) * 2L;
    }

    /** How long the rest of a request may take to come, while nothing of it comes. */
    Duration patience() {
        return patience;
    }

    /** Counts bytes of requests that are still coming, or takes some off. False if they are too many; they count all the same. */
    boolean hold(long bytes) {
        return halfSent.addAndGet(bytes) <= mostRequestBytes();
    }
}
