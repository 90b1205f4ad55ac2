// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.faults;

/**
 * Throws errors at the calls that {@link FaultyClassLoader} has inserted: at a chosen allocation, at a chosen kernel
 * call, or wherever calls are nested more deeply than allowed. Only one thread is affected.
 */
public final class Faults {

    /** The kind of fault. */
    public enum Kind {
        /** One allocation fails. */
        ALLOCATION,
        /** All allocations from one on fail. */
        ALLOCATIONS,
        /** The stack has a limited depth. */
        DEPTH,
        /** One kernel call throws instead of being made. */
        CALL_NOT_MADE,
        /** One kernel call throws after it was made. */
        CALL_MADE
    }

    private static volatile Thread thread;
    private static Kind kind = Kind.ALLOCATION;
    private static int at;
    private static int count;
    private static int depth;
    private static boolean thrown;

    private Faults() {}

    /** Starts to inject a fault into the calling thread. */
    public static void arm(Kind kind, int at) {
        Faults.kind = kind;
        Faults.at = at;
        count = 0;
        depth = 0;
        thrown = false;
        thread = Thread.currentThread();
    }

    /** Ends the injection. Returns whether the fault occurred. */
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

    /** Called before memory is allocated on the heap. */
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

    /** Called when a method begins. */
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

    /** Called when a method ends, normally or by an exception. */
    public static void exit() {
        if (isArmed(Kind.DEPTH)) {
            depth--;
        }
    }

    /** Called before a JDK method that calls other methods. */
    public static void jdkCall() {
        if (isArmed(Kind.DEPTH) && depth + 5 > at) {
            thrown = true;
            throw new StackOverflowError("in the JDK, called at depth " + depth);
        }
    }

    /** Called before a kernel call ({@code made} is false) and after it. */
    public static void call(boolean made) {
        if (isArmed(made ? Kind.CALL_MADE : Kind.CALL_NOT_MADE) && ++count == at) {
            thrown = true;
            throw new InternalError("call " + count);
        }
    }
}
