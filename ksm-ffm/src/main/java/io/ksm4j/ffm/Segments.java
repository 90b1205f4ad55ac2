package io.ksm4j.ffm;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import java.lang.foreign.MemorySegment;

/** Regions as memory segments, and memory segments as regions. */
public final class Segments {

    private Segments() {}

    /**
     * All of an allocated region as a segment whose scope is the region's life: it is alive until the region is closed, and may
     * be used by any thread.
     *
     * @param region a region allocated with backend {@code ffm}
     * @return the same segment each time
     * @throws IllegalStateException if the region is closed
     * @throws IllegalArgumentException if the region comes from another backend
     * @throws UnsupportedOperationException if the region's memory is adopted
     */
    public static MemorySegment of(MergeRegion region) {
        return region.view(MemorySegment.class);
    }

    /**
     * Takes in a native segment and marks it.
     *
     * @param ksm what marks it
     * @param segment see {@link #adopt(Ksm, MemorySegment, RegionOptions)}
     * @return an open region, already marked mergeable
     * @throws IllegalArgumentException if the segment is on the heap, read-only or empty
     * @throws IllegalStateException if the segment's scope is not alive
     * @throws WrongThreadException if the segment is confined to another thread
     * @throws io.ksm4j.KsmException as {@link Ksm#adopt(long, long)}
     */
    public static MergeRegion adopt(Ksm ksm, MemorySegment segment) {
        return adopt(ksm, segment, RegionOptions.DEFAULT);
    }

    /**
     * Takes in a native segment. The region covers the whole pages inside it and keeps the segment reachable. When the segment's
     * arena is closed first, the region's methods throw {@link IllegalStateException} and its {@code close} leaves the memory
     * alone; close the region before the arena all the same, since an arena closed by another thread during a call is not seen.
     *
     * @param ksm what marks it
     * @param segment a writable native segment
     * @param options its name, whether to mark it, and whether to verify marks
     * @return an open region
     * @throws IllegalArgumentException if the segment is on the heap, read-only or empty
     * @throws IllegalStateException if the segment's scope is not alive, or as {@link Ksm#adopt(long, long, RegionOptions)}
     * @throws WrongThreadException if the segment is confined to another thread
     * @throws io.ksm4j.KsmException as {@link Ksm#adopt(long, long, RegionOptions)}
     */
    public static MergeRegion adopt(Ksm ksm, MemorySegment segment, RegionOptions options) {
        if (!segment.isNative()) {
            throw new IllegalArgumentException(
                    "the segment is on the Java heap, whose objects move: allocate it from an Arena");
        }
        if (segment.isReadOnly()) {
            throw new IllegalArgumentException("the segment is read-only: adopt the segment it was made from");
        }
        if (!segment.scope().isAlive()) {
            throw new IllegalStateException("the segment's scope is closed: its memory no longer exists");
        }
        requireAccessible(segment);
        return ksm.adopt(
                segment.address(),
                segment.byteSize(),
                options,
                () -> segment.scope().isAlive());
    }

    static void requireAccessible(MemorySegment segment) {
        if (!segment.isAccessibleBy(Thread.currentThread())) {
            throw new WrongThreadException("the memory is confined to another thread: adopt it on that thread");
        }
    }
}
