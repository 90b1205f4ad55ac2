// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.ffm;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Objects;

/**
 * An arena whose segments are mergeable and start on page boundaries. Each segment is a {@link MergeRegion} of its own,
 * zeroed, and takes whole pages and up to three mappings of the process. Use it for a few large segments, not for many
 * small ones.
 *
 * <table>
 *   <caption>Kinds of arenas</caption>
 *   <tr><th></th><th>{@link #ofConfined}</th><th>{@link #ofShared}</th></tr>
 *   <tr><td>allocate, access, close</td><td>only in the thread that created it</td><td>in any thread</td></tr>
 *   <tr><td>access after close</td><td colspan="2">throws {@link IllegalStateException}</td></tr>
 *   <tr><td>unreachable without close</td><td colspan="2">memory is reclaimed and reported as a leak</td></tr>
 * </table>
 *
 * @since 0.1.0
 */
public final class MergeableArena implements Arena {

    private final Ksm ksm;
    private final RegionOptions options;
    private final Arena lifetime;

    private MergeableArena(Ksm ksm, RegionOptions options, Arena lifetime) {
        this.ksm = Objects.requireNonNull(ksm, "ksm");
        this.options = Objects.requireNonNull(options, "options");
        this.lifetime = lifetime;
    }

    /**
     * Creates an arena for the calling thread only.
     *
     * @param ksm allocates the regions
     * @return a new arena with {@link RegionOptions#DEFAULT}
     */
    public static MergeableArena ofConfined(Ksm ksm) {
        return ofConfined(ksm, RegionOptions.DEFAULT);
    }

    /**
     * Creates an arena for the calling thread only.
     *
     * @param ksm allocates the regions
     * @param options the options of every region of the arena
     * @return a new arena
     */
    public static MergeableArena ofConfined(Ksm ksm, RegionOptions options) {
        return new MergeableArena(ksm, options, Arena.ofConfined());
    }

    /**
     * Creates an arena for all threads.
     *
     * @param ksm allocates the regions
     * @return a new arena with {@link RegionOptions#DEFAULT}
     */
    public static MergeableArena ofShared(Ksm ksm) {
        return ofShared(ksm, RegionOptions.DEFAULT);
    }

    /**
     * Creates an arena for all threads.
     *
     * @param ksm allocates the regions
     * @param options the options of every region of the arena
     * @return a new arena
     */
    public static MergeableArena ofShared(Ksm ksm, RegionOptions options) {
        return new MergeableArena(ksm, options, Arena.ofShared());
    }

    /**
     * Allocates zeroed, mergeable memory that starts on a page boundary.
     *
     * @param byteSize size in bytes; 0 for an empty segment
     * @param byteAlignment alignment in bytes, a power of two; one above the page size takes that much more address
     *     space
     * @return a segment of exactly {@code byteSize} bytes that lives as long as the arena
     * @throws IllegalArgumentException if the size is negative or too large, or the alignment is not a power of two
     * @throws IllegalStateException if the arena is closed
     * @throws WrongThreadException if the arena is confined to another thread
     * @throws io.ksm4j.KsmException as {@link Ksm#allocate(long, RegionOptions)}
     */
    @Override
    public MemorySegment allocate(long byteSize, long byteAlignment) {
        if (byteSize < 0) {
            throw new IllegalArgumentException("size " + byteSize + " is negative");
        }
        if (byteAlignment <= 0 || Long.bitCount(byteAlignment) != 1) {
            throw new IllegalArgumentException("alignment " + byteAlignment + " is not a power of two");
        }
        MemorySegment empty = empty(byteAlignment);
        if (byteSize == 0) {
            return empty;
        }
        long spare = byteAlignment > ksm.pageSize() ? byteAlignment - ksm.pageSize() : 0;
        if (byteSize + spare < 0) {
            throw new IllegalArgumentException("size " + byteSize + " aligned to " + byteAlignment + " is too large");
        }
        MergeRegion region = ksm.allocate(byteSize + spare, options);
        try {
            return segment(region, byteSize, byteAlignment);
        } catch (RuntimeException | Error e) {
            region.close();
            throw e;
        }
    }

    /**
     * Returns an empty segment, without memory. This is safe because it has no byte to access.
     *
     * @throws IllegalStateException if the arena is closed
     * @throws WrongThreadException if the arena is confined to another thread
     */
    @SuppressWarnings("restricted")
    private MemorySegment empty(long byteAlignment) {
        return MemorySegment.ofAddress(Math.max(byteAlignment, ksm.pageSize())).reinterpret(0, lifetime, null);
    }

    /**
     * {@return {@code byteSize} bytes of a region as a segment, from the first aligned address of its first page on}
     */
    MemorySegment segment(MergeRegion region, long byteSize, long byteAlignment) {
        if (ksm.backend().equals(FfmBackend.NAME)) {
            return segment(region.address(), byteSize, byteAlignment, region::close);
        }
        // The addresses of a fallback may be made up, but a buffer has a real one. It must live as long as the segment.
        ByteBuffer first = region.buffer(0, 1);
        long start = MemorySegment.ofBuffer(first).address();
        if (start % ksm.pageSize() != 0) {
            // The aligned segment could reach beyond the end of the region.
            throw new IllegalStateException("the memory of region " + region + " of backend " + ksm.backend()
                    + " starts inside a page, at 0x" + Long.toHexString(start));
        }
        return segment(start, byteSize, byteAlignment, () -> {
            first.clear();
            region.close();
        });
    }

    /**
     * This is safe because only this arena uses the region, which stays mapped until the arena closes and runs {@code
     * atEnd}.
     */
    @SuppressWarnings("restricted")
    private MemorySegment segment(long address, long byteSize, long byteAlignment, Runnable atEnd) {
        long aligned = (address + byteAlignment - 1) & -byteAlignment;
        return MemorySegment.ofAddress(aligned).reinterpret(byteSize, lifetime, closing -> atEnd.run());
    }

    @Override
    public MemorySegment.Scope scope() {
        return lifetime.scope();
    }

    /**
     * Closes all regions of the arena.
     *
     * @throws IllegalStateException if the arena is already closed, or a native call is using one of its segments
     * @throws WrongThreadException if the arena is confined to another thread
     */
    @Override
    public void close() {
        lifetime.close();
    }
}
