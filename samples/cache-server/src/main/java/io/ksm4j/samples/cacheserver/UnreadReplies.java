// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The memory of all replies that clients have not read yet. A client that lags behind reports how much that is. If all
 * together take too much, those with the most are disconnected. Thread-safe.
 */
final class UnreadReplies {

    private static final int MAX_ATOMIC_BYTES = 16 << 20;

    private final long maxBytes;

    /** What clients have reported last; only of those with unread replies. */
    private final Map<Reply, Long> reported = new HashMap<>();

    private volatile long sum;

    UnreadReplies(long maxBytes) {
        this.maxBytes = maxBytes;
    }

    /** {@return whether clients that lag behind should get no further replies} */
    boolean isMuch() {
        return sum > maxBytes / 2;
    }

    /** {@return how large a reply may become before it waits for the client to read} */
    long maxAtomicBytes() {
        return Math.min(MAX_ATOMIC_BYTES, maxBytes / 4);
    }

    /**
     * Sets how much memory the replies to a client take, and disconnects others if that is too much.
     *
     * @throws Reply.TooLongException if there would be no room even without the others
     */
    void report(Reply client, long bytes) {
        if (bytes > maxBytes) {
            throw new Reply.TooLongException(maxBytes);
        }
        set(client, bytes);
        if (sum > maxBytes) {
            slowest(client).forEach(Reply::disconnect);
        }
    }

    /** Removes those with the most unread replies, except one, until the sum is small enough; returns them. */
    private synchronized List<Reply> slowest(Reply but) {
        // They may have read since then.
        List.copyOf(reported.keySet()).stream()
                .filter(other -> other != but)
                .forEach(other -> set(other, other.unreadBytes()));
        List<Reply> removed = new ArrayList<>();
        while (sum > maxBytes) {
            Reply slowest = reported.entrySet().stream()
                    .filter(entry -> entry.getKey() != but)
                    .max(Comparator.comparingLong(Map.Entry::getValue))
                    .orElseThrow()
                    .getKey();
            set(slowest, 0);
            removed.add(slowest);
        }
        return removed;
    }

    private synchronized void set(Reply client, long bytes) {
        Long before = bytes == 0 ? reported.remove(client) : reported.put(client, bytes);
        sum += bytes - (before == null ? 0 : before);
    }
}
