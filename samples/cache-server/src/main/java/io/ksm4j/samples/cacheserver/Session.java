// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.netty.util.NetUtil;
import java.net.InetSocketAddress;
import java.util.concurrent.TimeUnit;

/** The state that the commands of one client share. Only {@link #describe} may be called from other threads. */
final class Session {

    final long id;
    private final InetSocketAddress client;
    private final InetSocketAddress server;
    private final long start = System.nanoTime();
    final Transaction transaction;
    int tenant;
    String name = "";
    boolean isResp3;
    boolean isAuthenticated;
    boolean quit;

    /** Whether no other command may be executed until the current one is complete. */
    boolean isAtomic;

    /** The word at which an {@code MGET} goes on when the client has read; 0 if none is in progress. */
    int resumeAt;

    Session(
            long id,
            InetSocketAddress client,
            InetSocketAddress server,
            boolean isAuthenticated,
            Watches watches,
            RequestLimits limits) {
        this.id = id;
        this.client = client;
        this.server = server;
        this.transaction = new Transaction(watches, limits);
        this.isAuthenticated = isAuthenticated;
    }

    void reset(boolean nowAuthenticated) {
        transaction.end();
        tenant = 0;
        name = "";
        isResp3 = false;
        isAuthenticated = nowAuthenticated;
    }

    /** Returns the line of {@code CLIENT LIST}. In other threads than the client's, it may be out of date. */
    String describe() {
        return "id=" + id + " addr=" + address(client) + " laddr=" + address(server) + " name=" + name + " age="
                + TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - start) + " db=" + tenant + " resp="
                + (isResp3 ? 3 : 2) + "\n";
    }

    private static String address(InetSocketAddress address) {
        return NetUtil.toSocketAddressString(address);
    }
}
