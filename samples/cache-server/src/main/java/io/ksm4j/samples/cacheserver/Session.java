// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

/** The state that the commands of one client share. Not thread-safe. */
final class Session {

    final long id;
    final Transaction transaction;
    int tenant;
    String name = "";
    boolean isResp3;
    boolean isAuthenticated;
    boolean quit;

    Session(long id, boolean isAuthenticated, Watches watches, RequestLimits limits) {
        this.id = id;
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
}
