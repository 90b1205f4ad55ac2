// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The commands between {@code MULTI} and {@code EXEC}, and the keys of {@code WATCH}. Not thread-safe, except for
 * {@link #keyHasChanged()}.
 */
final class Transaction {

    /** The maximum heap memory of the commands of one client. */
    private static final long MAX_BYTES = 64 << 20;

    private final List<Request> queued = new ArrayList<>();
    private final Set<Key> watched = new HashSet<>();
    private final Watches watches;

    /** Whether a watched key has changed. Written by any thread. */
    private volatile boolean isOutdated;

    private boolean isOpen;
    private boolean isAborted;
    private long bytes;

    Transaction(Watches watches) {
        this.watches = watches;
    }

    boolean isOpen() {
        return isOpen;
    }

    void begin() {
        isOpen = true;
    }

    /** Remembers a command. */
    void queue(Request words) {
        Request copy = words.copy();
        bytes += copy.copiedBytes();
        if (bytes > MAX_BYTES) {
            throw new ReplyException("ERR the commands of this transaction take more than " + MAX_BYTES + " bytes");
        }
        queued.add(copy);
    }

    /** A command could not be queued, so none will be executed. */
    void abort() {
        isAborted = isOpen;
    }

    boolean isAborted() {
        return isAborted;
    }

    void watch(Key key) {
        if (watched.add(key)) {
            watches.add(key, this);
        }
    }

    void unwatch() {
        watched.forEach(key -> watches.remove(key, this));
        watched.clear();
        isOutdated = false;
    }

    void keyHasChanged() {
        isOutdated = true;
    }

    boolean isOutdated() {
        return isOutdated;
    }

    /** Ends the transaction, and returns its commands. */
    List<Request> end() {
        List<Request> commands = List.copyOf(queued);
        queued.clear();
        unwatch();
        isOpen = false;
        isAborted = false;
        bytes = 0;
        return commands;
    }
}
