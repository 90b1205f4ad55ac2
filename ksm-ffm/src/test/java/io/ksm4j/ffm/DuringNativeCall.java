// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.ffm;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;

/** Runs an action during a native call: {@code qsort} calls back to compare. */
final class DuringNativeCall {

    private final Runnable action;
    private Throwable thrown;

    private DuringNativeCall(Runnable action) {
        this.action = action;
    }

    /** {@return what the action threw, or null} */
    @SuppressWarnings("restricted")
    static Throwable on(MemorySegment segment, Runnable action) throws Throwable {
        Linker linker = Linker.nativeLinker();
        MethodHandle qsort = linker.downcallHandle(
                linker.defaultLookup().find("qsort").orElseThrow(),
                FunctionDescriptor.ofVoid(ADDRESS, JAVA_LONG, JAVA_LONG, ADDRESS));
        DuringNativeCall call = new DuringNativeCall(action);
        MethodHandle compare = MethodHandles.lookup()
                .bind(call, "compare", MethodType.methodType(int.class, MemorySegment.class, MemorySegment.class));
        try (Arena stubs = Arena.ofConfined()) {
            MemorySegment comparator =
                    linker.upcallStub(compare, FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS), stubs);
            qsort.invokeExact(segment, 2L, 1L, comparator);
        }
        return call.thrown;
    }

    /** Must not throw, which would end the JVM. */
    @SuppressWarnings("UnusedMethod") // Called by qsort.
    private int compare(MemorySegment left, MemorySegment right) {
        try {
            action.run();
        } catch (Throwable t) {
            thrown = t;
        }
        return Long.compare(left.address(), right.address());
    }
}
