// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.faults;

/**
 * Throws where {@link FaultyClassLoader} has put calls of it: at a chosen allocation, at a chosen call of the kernel, or wherever calls are nested more deeply
 * than is allowed. Only one thread is affected.
 */
public final class Faults {

    /** What is short. */
    public enum Kind {
        /** One allocation fails. */
        ALLOCATION,
        /** From one allocation on, all fail. */
        ALLOCATIONS,
        /** The stack has so much room and no more. */
        DEPTH,
        /** One call of the kernel throws instead of being made. */
        CALL_NOT_MADE,
        /** One call of the kernel throws after it was made. */
        CALL_MADE
    }

    private static volatile Thread thread;
    private static Kind kind = Kind.ALLOCATION;
    private static int at;
    private static int count;
    private static int depth;
    private static boolean thrown;

    private Faults() {}

    /** From now on the calling thread meets a fault. */
    public static void arm(Kind kind, int at) {
        Faults.kind = kind;
        Faults.at = at;
        count = 0;
        depth = 0;
        thrown = false;
        thread = Thread.currentThread();
    }

    /** Ends it. Returns whether the thread has met one. */
    public static boolean disarm() {
        thread = null;
        return thrown;
    }

    private static boolean isArmed(Kind... kinds) {
        if (!Thread.currentThread().equals(thread)) {
            return false;
        }
        for (Kind one : kinds) {
            if (kind == one) {
                return true;
            }
        }
        return false;
    }

    /** Before memory is taken from the heap. */
    public static void allocation() {
        if (!isArmed(Kind.ALLOCATION, Kind.ALLOCATIONS)) {
            return;
        }
        count++;
        if (count == at || (kind == Kind.ALLOCATIONS && count > at)) {
            thrown = true;
            throw new OutOfMemoryError("allocation " + count);
        }
    }

    /** When a method begins. */
    public static void enter() {
        if (!isArmed(Kind.DEPTH)) {
            return;
        }
        if (depth >= at) {
            thrown = true;
            throw new StackOverflowError("at depth " + depth);
        }
        depth++;
    }

    /** When it ends, in whatever way. */
    public static void exit() {
        if (isArmed(Kind.DEPTH)) {
            depth--;
        }
    }

    /** Before a method of the JDK is called that calls others. */
    public static void jdkCall() {
        if (isArmed(Kind.DEPTH) && depth + 5 > at) {
            thrown = true;
            throw new StackOverflowError("in the JDK, called at depth " + depth);
        }
    }

    /** Before a call of the kernel ({@code made} is false), and after it. */
    public static void call(boolean made) {
        if (isArmed(made ? Kind.CALL_MADE : Kind.CALL_NOT_MADE) && ++count == at) {
            thrown = true;
            throw new InternalError("call " + count);
        }
    }
}
