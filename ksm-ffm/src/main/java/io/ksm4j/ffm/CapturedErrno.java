// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.ffm;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * Slots for the errno of calls. A thread takes one for the duration of a call. A slot for each thread instead would
 * mean hundreds of thousands for virtual threads, each with an arena and a cleaner. Taking a slot allocates nothing and
 * does not block. Safe for use by multiple threads.
 */
final class CapturedErrno {

    private static final StructLayout LAYOUT = Linker.Option.captureStateLayout();
    private static final long ERRNO = offset("errno");

    private static final VarHandle TAKEN = MethodHandles.arrayElementVarHandle(int[].class);

    /** The number of threads that can be in a call at once; a power of two. */
    private static final int SLOTS = 256;

    private static final int CACHE_LINE = 64;

    /** 1 for each slot that is taken, each on a cache line of its own. */
    private final int[] taken = new int[SLOTS * CACHE_LINE / Integer.BYTES];

    private final MemorySegment[] slots = new MemorySegment[SLOTS];

    CapturedErrno() {
        long size = Math.max(CACHE_LINE, LAYOUT.byteSize());
        // Freed together with this object, when its class loader is unloaded.
        MemorySegment all = Arena.ofAuto().allocate(size * SLOTS, CACHE_LINE);
        for (int i = 0; i < SLOTS; i++) {
            slots[i] = all.asSlice(i * size, LAYOUT);
        }
    }

    /** Returns the offset of a member. {@code MemoryLayout.byteOffset} would take milliseconds of each start. */
    private static long offset(String member) {
        long offset = 0;
        for (MemoryLayout layout : LAYOUT.memberLayouts()) {
            if (member.equals(layout.name().orElse(""))) {
                return offset;
            }
            offset += layout.byteSize();
        }
        throw new IllegalStateException("this platform does not capture " + member);
    }

    /** {@return a free slot, which the caller must give back} */
    int take() {
        // Threads start at different slots, which are mostly free.
        int slot = (int) Thread.currentThread().threadId() & (SLOTS - 1);
        while (!TAKEN.weakCompareAndSetAcquire(taken, slot * (CACHE_LINE / Integer.BYTES), 0, 1)) {
            slot = (slot + 1) & (SLOTS - 1);
            Thread.onSpinWait();
        }
        return slot;
    }

    void giveBack(int slot) {
        TAKEN.setRelease(taken, slot * (CACHE_LINE / Integer.BYTES), 0);
    }

    MemorySegment segment(int slot) {
        return slots[slot];
    }

    int errno(int slot) {
        return slots[slot].get(JAVA_INT, ERRNO);
    }
}
