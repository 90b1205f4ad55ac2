// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.heap;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** The C library's {@code malloc} and {@code free}, as native libraries call them. */
@SuppressWarnings("restricted") // There is no other way to call them.
final class CMemory {

    private static final Linker LINKER = Linker.nativeLinker();

    private final MethodHandle malloc = function("malloc", FunctionDescriptor.of(ADDRESS, JAVA_LONG));
    private final MethodHandle free = function("free", FunctionDescriptor.ofVoid(ADDRESS));

    private static MethodHandle function(String name, FunctionDescriptor descriptor) {
        return LINKER.downcallHandle(LINKER.defaultLookup().find(name).orElseThrow(), descriptor);
    }

    MemorySegment allocate(long size) throws Throwable {
        MemorySegment block = (MemorySegment) malloc.invokeExact(size);
        if (block.address() == 0) {
            throw new OutOfMemoryError("malloc(" + size + ")");
        }
        return block.reinterpret(size);
    }

    void free(MemorySegment block) throws Throwable {
        free.invokeExact(block);
    }
}
