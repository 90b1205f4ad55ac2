// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

/** The state that the commands of one client share. Not thread-safe. */
final class Session {

    final long id;
    int tenant;
    String name = "";
    boolean quit;

    Session(long id) {
        this.id = id;
    }
}
