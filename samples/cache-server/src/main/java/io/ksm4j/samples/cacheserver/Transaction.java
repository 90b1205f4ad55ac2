// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * The commands between {@code MULTI} and {@code EXEC}, and the keys of {@code WATCH}. Not thread-safe, except for
 * {@link #keyHasChanged()}.
 */
final class Transaction {

    /** The approximate memory of a command or key in addition to its bytes. */
    private static final int OBJECT_BYTES = 256;

    private final List<Request> queued = new ArrayList<>();

    /** The watched keys, and whether they had values. */
    private final Map<Key, Boolean> watched = new HashMap<>();

    private final Watches watches;
    private final RequestLimits limits;

    /** Whether a watched key has changed. Written by any thread. */
    private volatile boolean isOutdated;

    private boolean isOpen;
    private boolean isAborted;
    private long bytes;

    Transaction(Watches watches, RequestLimits limits) {
        this.watches = watches;
        this.limits = limits;
    }

    boolean isOpen() {
        return isOpen;
    }

    void begin() {
        isOpen = true;
    }

    /** Remembers a command. */
    void queue(Request words) {
        hold(words.copiedBytes() + OBJECT_BYTES);
        queued.add(words.copy());
    }

    /** A command could not be queued, so none will be executed. */
    void abort() {
        isAborted = isOpen;
    }

    boolean isAborted() {
        return isAborted;
    }

    void watch(Key key, Predicate<Key> exists) {
        if (!watched.containsKey(key)) {
            hold(heldFor(key));
            watched.put(key, false);
            watches.add(key, this);
            watched.put(key, exists.test(key));
        }
    }

    /** Counts memory of all clients together. If that is too much, the transaction cannot be executed any more. */
    private void hold(int more) {
        if (!limits.hold(more)) {
            limits.hold(-more);
            isAborted = isOpen;
            throw new ReplyException(
                    "ERR the transactions and incomplete requests of all clients take too much memory");
        }
        bytes += more;
    }

    void unwatch() {
        for (Key key : watched.keySet()) {
            watches.remove(key, this);
            release(heldFor(key));
        }
        watched.clear();
        isOutdated = false;
    }

    private static int heldFor(Key key) {
        return key.heapBytes() + OBJECT_BYTES;
    }

    private void release(long less) {
        limits.hold(-less);
        bytes -= less;
    }

    void keyHasChanged() {
        isOutdated = true;
    }

    /** Returns whether a watched key has changed or expired. Expired keys may not have been removed yet. */
    boolean isOutdated(Predicate<Key> exists) {
        return isOutdated
                || watched.entrySet().stream().anyMatch(entry -> entry.getValue() && !exists.test(entry.getKey()));
    }

    /** Ends the transaction, and returns its commands. */
    List<Request> end() {
        List<Request> commands = List.copyOf(queued);
        queued.clear();
        unwatch();
        isOpen = false;
        isAborted = false;
        release(bytes);
        return commands;
    }
}
