package io.ksm4j.ffm;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * Where calls leave their errno: places that a thread takes for the time of a call. So a thread needs none of its own, of which virtual threads would
 * make hundreds of thousands, each with an arena and a cleaner. Taking one allocates nothing and waits for nothing.
 */
final class CapturedErrno {

    private static final MemoryLayout LAYOUT = Linker.Option.captureStateLayout();
    private static final long ERRNO = LAYOUT.byteOffset(PathElement.groupElement("errno"));

    private static final VarHandle TAKEN = MethodHandles.arrayElementVarHandle(int[].class);

    /** So many threads can be in a call at once; a power of two. */
    private static final int PLACES = 256;

    private static final int CACHE_LINE = 64;

    /** Whether a place is taken, each on a cache line of its own. */
    private final int[] taken = new int[PLACES * CACHE_LINE / Integer.BYTES];

    private final MemorySegment[] places = new MemorySegment[PLACES];

    CapturedErrno() {
        long size = Math.max(CACHE_LINE, LAYOUT.byteSize());
        // It lives as long as this object, as a class loader that is dropped takes it along.
        MemorySegment all = Arena.ofAuto().allocate(size * PLACES, CACHE_LINE);
        for (int i = 0; i < PLACES; i++) {
            places[i] = all.asSlice(i * size, LAYOUT);
        }
    }

    /** A free place, to be given back. */
    int take() {
        // Threads begin at different places, and mostly find them free.
        int place = (int) Thread.currentThread().threadId() & (PLACES - 1);
        while (!TAKEN.weakCompareAndSetAcquire(taken, place * (CACHE_LINE / Integer.BYTES), 0, 1)) {
            place = (place + 1) & (PLACES - 1);
            Thread.onSpinWait();
        }
        return place;
    }

    void giveBack(int place) {
        TAKEN.setRelease(taken, place * (CACHE_LINE / Integer.BYTES), 0);
    }

    MemorySegment segment(int place) {
        return places[place];
    }

    int errno(int place) {
        return places[place].get(JAVA_INT, ERRNO);
    }
}
