// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.ffm;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import java.lang.foreign.MemorySegment;

/**
 * Converts regions to memory segments, and memory segments to regions.
 *
 * @since 0.1.0
 */
public final class Segments {

    private Segments() {}

    /**
     * Returns an allocated region as a segment. The segment is alive until the region is closed, and may be used by any
     * thread.
     *
     * @param region a region allocated with the backend {@code ffm}
     * @return the segment of the whole region; the same object for each call
     * @throws IllegalStateException if the region is closed
     * @throws IllegalArgumentException if the region comes from another backend
     * @throws UnsupportedOperationException if the region's memory is adopted
     */
    public static MemorySegment of(MergeRegion region) {
        return region.view(MemorySegment.class);
    }

    /**
     * Adopts a native segment and marks it mergeable. {@link #adopt(Ksm, MemorySegment, RegionOptions)} describes how.
     *
     * @param ksm marks the memory
     * @param segment a writable native segment
     * @return an open region, marked mergeable
     * @throws IllegalArgumentException if the segment is on the heap, read-only or empty
     * @throws IllegalStateException if the segment's scope is not alive
     * @throws WrongThreadException if the segment is confined to another thread
     * @throws io.ksm4j.KsmException as {@link Ksm#adopt(long, long)}
     */
    public static MergeRegion adopt(Ksm ksm, MemorySegment segment) {
        return adopt(ksm, segment, RegionOptions.DEFAULT);
    }

    /**
     * Adopts a native segment. The region covers the whole pages inside the segment and keeps it reachable. Close the
     * region before the arena of the segment. If the arena is closed first, the methods of the region throw {@link
     * IllegalStateException}, and its {@code close} does not touch the memory; but if another thread closes the arena
     * during a call, this is not detected.
     *
     * @param ksm marks the memory
     * @param segment a writable native segment
     * @param options the name of the region, whether to mark it, and whether to verify marks
     * @return an open region
     * @throws IllegalArgumentException if the segment is on the heap, read-only or empty
     * @throws IllegalStateException if the segment's scope is not alive, or as {@link Ksm#adopt(long, long,
     *     RegionOptions)}
     * @throws WrongThreadException if the segment is confined to another thread
     * @throws io.ksm4j.KsmException as {@link Ksm#adopt(long, long, RegionOptions)}
     */
    public static MergeRegion adopt(Ksm ksm, MemorySegment segment, RegionOptions options) {
        if (!segment.isNative()) {
            throw new IllegalArgumentException(
                    "the segment is on the Java heap, where objects move: allocate it from an Arena");
        }
        if (segment.isReadOnly()) {
            throw new IllegalArgumentException("the segment is read-only: adopt the segment it is a view of");
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
