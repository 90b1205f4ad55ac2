// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal;

/**
 * Checks that there is enough stack for an operation that must not fail half-way. A {@link StackOverflowError} is
 * either thrown here, before the operation has changed anything, or not at all: the operation nests fewer calls than
 * the check does.
 */
public final class StackRoom {

    /**
     * Changing the table nests about twenty calls. They may be interpreted, with larger frames than the compiled calls
     * here.
     */
    private static final int CHANGE = 256;

    /** Taking or giving back pages of a pool nests about ten calls. */
    private static final int BLOCK = 96;

    /** Looking up something in the table, and unlocking it. */
    private static final int LOOKUP = 48;

    private StackRoom() {}

    /** Checks before taking a lock that there is room for a lookup under it, and for unlocking. */
    public static void requireForLock() {
        descend(LOOKUP);
    }

    /** Checks before changing a pool that there is room for that. Opening a region checks on its own. */
    public static void requireForBlock() {
        descend(BLOCK);
    }

    /** Checks before taking ownership of regions that there is room for changing and releasing them. */
    public static void requireForChange() {
        descend(CHANGE);
    }

    /** Checks before opening a region that there is room for its first change, and for closing it if that fails. */
    public static void requireForOpening() {
        descend(3 * CHANGE);
    }

    private static int descend(int calls) {
        return calls == 0 ? 0 : descend(calls - 1) + 1;
    }
}
