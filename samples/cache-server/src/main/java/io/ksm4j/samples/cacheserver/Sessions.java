// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.netty.channel.Channel;
import java.net.InetSocketAddress;
import java.util.Collection;
import java.util.NavigableMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicLong;

/** The sessions of all connected clients. */
final class Sessions {

    private final AtomicLong opened = new AtomicLong();
    private final NavigableMap<Long, Session> open = new ConcurrentSkipListMap<>();

    /** Returns a new session, which ends when the client disconnects. */
    Session open(Channel client, boolean isAuthenticated, Watches watches, RequestLimits limits) {
        long id = opened.incrementAndGet();
        Session session = new Session(
                id,
                (InetSocketAddress) client.remoteAddress(),
                (InetSocketAddress) client.localAddress(),
                isAuthenticated,
                watches,
                limits);
        open.put(id, session);
        client.closeFuture().addListener(done -> open.remove(id));
        return session;
    }

    /** {@return how many there have been} */
    long opened() {
        return opened.get();
    }

    /** {@return those whose clients are connected, the oldest first} */
    Collection<Session> all() {
        return open.values();
    }
}
