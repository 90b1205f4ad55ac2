// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.ksm4j.Ksm;
import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Random;

/**
 * A program that keeps data in blocks of {@code malloc}, as native libraries do, and is opted in. The arguments are a
 * seed for the data, and a seed for the sizes of other blocks that lie between.
 */
final class NativeBlocks {

    static final int SIZE = 32 << 20;

    private static final int BLOCK = 256 << 10;
    private static final long FREED = 8 << 20;

    @SuppressWarnings("restricted") // There is no other way to make this call.
    private static final MethodHandle MALLOC = Linker.nativeLinker()
            .downcallHandle(
                    Linker.nativeLinker().defaultLookup().find("malloc").orElseThrow(),
                    FunctionDescriptor.of(ADDRESS, JAVA_LONG));

    @SuppressWarnings("restricted")
    private static final MethodHandle FREE = Linker.nativeLinker()
            .downcallHandle(
                    Linker.nativeLinker().defaultLookup().find("free").orElseThrow(),
                    FunctionDescriptor.ofVoid(ADDRESS));

    private NativeBlocks() {}

    public static void main(String[] arguments) throws Throwable {
        Ksm.system().process().markMergeable();
        Random data = new Random(Long.parseLong(arguments[0]));
        Random others = new Random(Long.parseLong(arguments[1]));
        // This raises the threshold, unless it is fixed.
        FREE.invokeExact(allocate(FREED));
        byte[] content = new byte[BLOCK];
        for (int filled = 0; filled < SIZE; filled += BLOCK) {
            allocate(others.nextInt(1, 4096));
            data.nextBytes(content);
            MemorySegment.copy(MemorySegment.ofArray(content), 0, allocate(BLOCK), 0, BLOCK);
        }
        System.out.println("ready");
        while (System.in.read() >= 0) {
            // until the end
        }
    }

    @SuppressWarnings("restricted") // The size of what malloc returns is known.
    private static MemorySegment allocate(long size) throws Throwable {
        MemorySegment block = ((MemorySegment) MALLOC.invokeExact(size)).reinterpret(size);
        if (block.address() == 0) {
            throw new IOException("no memory");
        }
        return block;
    }
}
