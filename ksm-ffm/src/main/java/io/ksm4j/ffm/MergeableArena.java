package io.ksm4j.ffm;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Objects;

/**
 * An arena whose allocations start on page boundaries and may be merged. Each allocation is a {@link MergeRegion} of its own,
 * zeroed, and takes whole pages and up to three mappings; it is for a few large blocks, not for many small ones.
 *
 * <table>
 *   <caption>Kinds of arenas</caption>
 *   <tr><th></th><th>{@link #ofConfined}</th><th>{@link #ofShared}</th></tr>
 *   <tr><td>allocate, access, close</td><td>by the thread that made it</td><td>by any thread</td></tr>
 *   <tr><td>segments after close</td><td colspan="2">throw {@link IllegalStateException}</td></tr>
 *   <tr><td>forgotten without close</td><td colspan="2">reclaimed and reported as leaks</td></tr>
 * </table>
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
     * An arena for the calling thread alone.
     *
     * @param ksm what allocates
     * @return a new arena with {@link RegionOptions#DEFAULT}
     */
    public static MergeableArena ofConfined(Ksm ksm) {
        return ofConfined(ksm, RegionOptions.DEFAULT);
    }

    /**
     * An arena for the calling thread alone.
     *
     * @param ksm what allocates
     * @param options how every region of the arena is allocated
     * @return a new arena
     */
    public static MergeableArena ofConfined(Ksm ksm, RegionOptions options) {
        return new MergeableArena(ksm, options, Arena.ofConfined());
    }

    /**
     * An arena for all threads.
     *
     * @param ksm what allocates
     * @return a new arena with {@link RegionOptions#DEFAULT}
     */
    public static MergeableArena ofShared(Ksm ksm) {
        return ofShared(ksm, RegionOptions.DEFAULT);
    }

    /**
     * An arena for all threads.
     *
     * @param ksm what allocates
     * @param options how every region of the arena is allocated
     * @return a new arena
     */
    public static MergeableArena ofShared(Ksm ksm, RegionOptions options) {
        return new MergeableArena(ksm, options, Arena.ofShared());
    }

    /**
     * Allocates zeroed, mergeable memory on a page boundary.
     *
     * @param byteSize bytes; 0 gives an empty segment
     * @param byteAlignment a power of two; above the page size it costs that much more address space
     * @return a segment of exactly {@code byteSize} bytes that lives as long as the arena
     * @throws IllegalArgumentException if the size is negative or the alignment is no power of two
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
            throw new IllegalArgumentException("alignment " + byteAlignment + " is no power of two");
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
     * An empty segment, made without memory. Safe: it has no byte to access.
     *
     * @throws IllegalStateException if the arena is closed
     * @throws WrongThreadException if the arena is confined to another thread
     */
    @SuppressWarnings("restricted")
    private MemorySegment empty(long byteAlignment) {
        return MemorySegment.ofAddress(Math.max(byteAlignment, ksm.pageSize())).reinterpret(0, lifetime, null);
    }

    /** A segment of a region that holds {@code byteSize} bytes from the first aligned address on, counted from its first page. */
    MemorySegment segment(MergeRegion region, long byteSize, long byteAlignment) {
        if (ksm.backend().equals(FfmBackend.NAME)) {
            return segment(region.address(), byteSize, byteAlignment, region::close);
        }
        // The fallback's addresses may be made up. A buffer knows where its memory is, and must live as long as the
        // segment.
        ByteBuffer first = region.buffer(0, 1);
        long start = MemorySegment.ofBuffer(first).address();
        if (start % ksm.pageSize() != 0) {
            // From there the aligned segment might reach past the end of the region.
            throw new IllegalStateException("the memory of region " + region + " of backend " + ksm.backend()
                    + " starts inside a page, at 0x" + Long.toHexString(start));
        }
        return segment(start, byteSize, byteAlignment, () -> {
            first.clear();
            region.close();
        });
    }

    /** Safe: the region behind the address is mapped until the arena's end runs {@code atEnd}, and nobody else has it. */
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
     * Closes every region of the arena.
     *
     * @throws IllegalStateException if the arena is closed already, or a native call is using one of its segments
     * @throws WrongThreadException if the arena is confined to another thread
     */
    @Override
    public void close() {
        lifetime.close();
    }
}
