package io.ksm4j;

import io.ksm4j.internal.LateCleaner;
import io.ksm4j.internal.registry.Slot;
import io.ksm4j.spi.NativeMapping;
import io.ksm4j.stats.RegionStats;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Whole pages of memory that may be marked mergeable: <em>allocated</em> by {@link Ksm#allocate(long)}, or <em>adopted</em> from
 * somebody else by {@link Ksm#adopt(long, long)}.
 *
 * <p>What becomes of the memory:
 *
 * <table>
 *   <caption>Lifetime of a region</caption>
 *   <tr><th></th><th>allocated, backend ffm</th><th>allocated, backends jnr, jna</th><th>adopted</th></tr>
 *   <tr><th>{@link #close()}</th><td>unmapped</td><td>pages given back; addresses kept until the last buffer is
 *   unreachable</td><td>advice withdrawn where no other region wants it</td></tr>
 *   <tr><th>views after close</th><td>throw {@code IllegalStateException}</td><td>read zeros, and what is written
 *   there afterwards until they are gone</td><td>unchanged: the memory is its owner's</td></tr>
 *   <tr><th>forgotten, without close</th><td colspan="3">reclaimed and reported as a leak once neither the region nor a view
 *   of it is reachable</td></tr>
 * </table>
 *
 * <p>Any thread may call any method. Every method but {@link #close()}, {@link #isOpen()}, {@link #range()}, {@link #size()},
 * {@link #address()} and {@link #owner()} throws {@link IllegalStateException} once the region is closed. A method and a
 * {@code close} on different threads take turns, but for {@link #stats()} and {@link #unmarkedRanges()}: while they read {@code
 * /proc}, a close on another thread may let other memory take the region's place.
 */
public final class MergeRegion implements AutoCloseable {

    private static final LateCleaner CLEANER = new LateCleaner();

    /** A few bytes less than a buffer could have, because a memory segment makes none larger. */
    private static final int MAX_BUFFER_SIZE = Integer.MAX_VALUE - 8;

    private final RegionState state;

    /** Java's access to allocated memory; null for adopted memory. */
    private final @Nullable NativeMapping mapping;

    private final Cleaner.Cleanable forgotten;

    MergeRegion(RegionState state) {
        this.state = state;
        this.mapping =
                state.isAdopted() ? null : state.kernel.backend.map(state.range.start(), state.range.length(), this);
        this.forgotten = CLEANER.get().register(this, state);
    }

    /**
     * Where the region is.
     *
     * @return whole pages
     */
    public AddressRange range() {
        return state.range;
    }

    /**
     * Where the region starts.
     *
     * @return an address on a page boundary
     */
    public long address() {
        return state.range.start();
    }

    /**
     * How large the region is.
     *
     * @return bytes, a multiple of the page size
     */
    public long size() {
        return state.range.length();
    }

    /**
     * Who appears in the registry as the one who wants this memory merged.
     *
     * @return the region's name, or that of the thread that opened it
     */
    public String owner() {
        return state.owner;
    }

    /**
     * Whether the region is open.
     *
     * @return false once {@link #close()} has begun to give the memory back
     */
    public boolean isOpen() {
        return state.isOpen();
    }

    /**
     * All of an allocated region as a buffer.
     *
     * <p>The table above says what the buffer does after {@link #close()}. An address that was taken from it is not stopped by that: whoever
     * reads by address then, as {@code Unsafe}, native code and Netty's {@code Unpooled.wrappedBuffer} do, may crash the JVM.
     *
     * @return a new direct buffer in big-endian order
     * @throws IllegalStateException if the region is closed
     * @throws UnsupportedOperationException if the memory is adopted
     * @throws IndexOutOfBoundsException if the region is larger than a buffer can be (2 GiB less 9 bytes)
     */
    public ByteBuffer buffer() {
        if (size() > MAX_BUFFER_SIZE) {
            throw new IndexOutOfBoundsException("a buffer holds at most " + MAX_BUFFER_SIZE + " bytes, the region has "
                    + size() + ": use buffer(offset, length)");
        }
        return buffer(0, (int) size());
    }

    /**
     * A window onto an allocated region. Keeps the region reachable. What {@link #buffer()} says of addresses holds here, too.
     *
     * @param offset first byte of the window, counted from the start of the region
     * @param length bytes in the window, at most 2 GiB less 9 bytes
     * @return a new direct buffer in big-endian order
     * @throws IllegalStateException if the region is closed
     * @throws UnsupportedOperationException if the memory is adopted: its owner has buffers
     * @throws IndexOutOfBoundsException if the window is not inside the region, or larger than a buffer can be
     */
    public ByteBuffer buffer(long offset, int length) {
        Objects.checkFromIndexSize(offset, length, size());
        if (length > MAX_BUFFER_SIZE) {
            throw new IndexOutOfBoundsException(
                    "a buffer holds at most " + MAX_BUFFER_SIZE + " bytes, not " + length + ": use several");
        }
        try {
            return mapping().buffer(offset, length);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * All of an allocated region as a type of the backend's own. With backend {@code ffm} that is {@code
     * java.lang.foreign.MemorySegment}, and {@code io.ksm4j.ffm.Segments.of(region)} is the shorter way.
     *
     * @param type the class of the view
     * @param <T> the class of the view
     * @return the view
     * @throws IllegalStateException if the region is closed
     * @throws IllegalArgumentException if the backend has no such view
     * @throws UnsupportedOperationException if the memory is adopted
     */
    public <T> T view(Class<T> type) {
        Objects.requireNonNull(type, "type");
        try {
            T view = mapping().view(type);
            if (view == null) {
                throw new IllegalArgumentException(
                        "backend " + state.kernel.backend.name() + " cannot show a region as " + type.getName()
                                + "; for a MemorySegment put io.ksm4j:ksm-ffm on the class path and use Java 22 or later");
            }
            return view;
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    NativeMapping mapping() {
        requireOpen();
        if (mapping == null) {
            throw new UnsupportedOperationException(
                    "the memory of region " + state + " is adopted: use the views its owner has");
        }
        return mapping;
    }

    RegionState state() {
        return state;
    }

    /**
     * Marks the region mergeable, by {@code madvise(MADV_MERGEABLE)}. Marking what is marked already is fine.
     *
     * @throws IllegalStateException if the region is closed, must never merge, or its memory no longer exists
     * @throws KsmUnsupportedException if the kernel has no KSM
     * @throws UnmappedRangeException if adopted memory is not mapped any more, or in parts
     * @throws MarkNotTakenException if adopted memory cannot merge
     * @throws MapCountExceededException if the process has too many mappings
     * @throws ResourceUnavailableException if the kernel is short of memory
     * @throws KsmException if the call fails otherwise; the region is as it was then, whatever the exception
     */
    public void markMergeable() {
        try {
            state.mark(true, state.unmerge);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Marks a part of the region mergeable.
     *
     * @param offset first byte, a multiple of the page size
     * @param length bytes, a positive multiple of the page size
     * @throws IllegalArgumentException if offset or length is not such a multiple
     * @throws IndexOutOfBoundsException if the part is not inside the region
     * @throws IllegalStateException as {@link #markMergeable()}
     * @throws KsmException as {@link #markMergeable()}
     */
    public void markMergeable(long offset, long length) {
        markPart(offset, length, true);
    }

    /**
     * Unmarks the region in the way it was opened with ({@link RegionOptions#unmerge()}): {@link #markUnmergeable(Unmerge)}.
     *
     * @throws IllegalStateException if the region is closed, or its memory no longer exists
     * @throws UnmappedRangeException if adopted memory is not mapped any more, or in parts
     * @throws MapCountExceededException if the process has too many mappings
     * @throws UnmergeRefusedException if there is not enough memory for the copies
     * @throws ResourceUnavailableException if the kernel is short of memory
     * @throws KsmException if the call fails otherwise; the region is as it was then, whatever the exception
     */
    public void markUnmergeable() {
        markUnmergeable(state.unmerge);
    }

    /**
     * Unmarks the region, by {@code madvise(MADV_UNMERGEABLE)}, but for pages that another open region wants merged. Merged
     * pages are copied at once, which may take as much memory as merging had saved; without it the kernel kills.
     *
     * @param unmerge what to do before merged pages are taken apart
     * @throws IllegalStateException if the region is closed, or its memory no longer exists
     * @throws UnmappedRangeException if adopted memory is not mapped any more, or in parts
     * @throws MapCountExceededException if the process has too many mappings
     * @throws UnmergeRefusedException if there is not enough memory for the copies
     * @throws ResourceUnavailableException if the kernel is short of memory
     * @throws KsmException if the call fails otherwise; the region is as it was then, whatever the exception
     */
    public void markUnmergeable(Unmerge unmerge) {
        Objects.requireNonNull(unmerge, "unmerge");
        try {
            state.mark(false, unmerge);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Unmarks a part of the region, in the way it was opened with ({@link RegionOptions#unmerge()}).
     *
     * @param offset first byte, a multiple of the page size
     * @param length bytes, a positive multiple of the page size
     * @throws IllegalArgumentException if offset or length is not such a multiple
     * @throws IndexOutOfBoundsException if the part is not inside the region
     * @throws IllegalStateException as {@link #markUnmergeable()}
     * @throws KsmException as {@link #markUnmergeable()}
     */
    public void markUnmergeable(long offset, long length) {
        markPart(offset, length, false);
    }

    private void requirePart(long offset, long length) {
        Objects.checkFromIndexSize(offset, length, size());
        if (length == 0 || !state.kernel.isPageAligned(offset | length)) {
            throw new IllegalArgumentException("offset " + offset + " and length " + length
                    + " must be multiples of the page size " + state.kernel.pageSize + ", and the length positive");
        }
    }

    private void markPart(long offset, long length, boolean mergeable) {
        requirePart(offset, length);
        long from = address() + offset;
        try {
            state.mark(from, from + length, mergeable, state.unmerge);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Gives pages of an allocated region back to the kernel, by {@code madvise(MADV_DONTNEED)}: they take no memory until they are
     * touched again, and hold zeros then. Marks stay as they are.
     *
     * <p>Several threads may discard parts at the same time. A part that another thread is writing to meanwhile holds what was
     * written last, or zeros.
     *
     * @param offset first byte, a multiple of the page size
     * @param length bytes, a positive multiple of the page size
     * @throws IllegalArgumentException if offset or length is not such a multiple
     * @throws IndexOutOfBoundsException if the part is not inside the region
     * @throws UnsupportedOperationException if the memory is adopted: what becomes of it is its owner's choice
     * @throws IllegalStateException if the region is closed
     * @throws KsmException if the call fails: for memory locked with {@code mlock(2)}, before Linux 5.18
     */
    public void discard(long offset, long length) {
        requirePart(offset, length);
        try {
            state.discard(address() + offset, length);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Whether this region wants all of itself merged, as the registry has it.
     *
     * @return true after {@link #markMergeable()}, or after its parts were marked one by one
     * @throws IllegalStateException if the region is closed
     */
    public boolean isMergeable() {
        long word = state.slot.state();
        if (!state.slot.isOpen(word)) {
            throw state.closedException();
        }
        return (word & Slot.MARKED) != 0;
    }

    /**
     * Asks the kernel which parts of the region are not marked, whoever marked or unmarked them: the parts whose {@code VmFlags}
     * in {@code /proc/self/smaps} lack {@code mg}. Takes milliseconds for each resident GiB of the process.
     *
     * @return the parts in order of address; empty if all of the region is marked. For fallback regions: what the registry
     *     does not have
     * @throws IllegalStateException if the region is closed
     * @throws java.io.UncheckedIOException if {@code /proc} cannot be read
     */
    public List<AddressRange> unmarkedRanges() {
        requireOpen();
        try {
            return state.unmarkedRanges();
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Reads what the region occupies and saves. {@link Ksm#stats(java.util.Collection)} reads many regions in one go; what it
     * says of costs and of neighbours holds here, too.
     *
     * @return the numbers; {@link RegionStats#NONE} for fallback regions
     * @throws IllegalStateException if the region is closed, or its memory no longer exists
     * @throws MapCountExceededException if the region shares a mapping with its neighbours, and the process has too many mappings
     *     to take them apart
     * @throws KsmException as {@link Ksm#stats(java.util.Collection)}
     * @throws java.io.UncheckedIOException if {@code /proc} cannot be read
     */
    public RegionStats stats() {
        try {
            return RegionState.stats(List.of(state)).get(0);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Waits until a share of the region is merged, or nothing more can come; {@link Ksm#awaitMerged} waits for many regions, and
     * says how.
     *
     * @param share of the pages in use, above 0 and at most 1; see {@link RegionStats#mergedShare()}
     * @param timeout how long at most; 0 looks once
     * @return how it ended
     * @throws InterruptedException if the thread is interrupted before or meanwhile
     * @throws IllegalArgumentException if the share is not in its range or the timeout is negative
     * @throws IllegalStateException if the region is closed before or meanwhile, which is noticed when a counter of the kernel has
     *     moved or the time is up
     * @throws KsmException as {@link Ksm#stats(java.util.Collection)}
     * @throws java.io.UncheckedIOException if {@code /proc} cannot be read
     */
    public MergeOutcome awaitMerged(double share, Duration timeout) throws InterruptedException {
        try {
            return new MergeWait(List.of(state), share, timeout).run();
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    private void requireOpen() {
        if (!isOpen()) {
            throw state.closedException();
        }
    }

    /**
     * Closes the region; the table above says what becomes of the memory. A second call does nothing.
     *
     * <p>Closing an allocated region copies nothing, because its pages go first, so it is never refused for want of memory.
     * Merged pages of an adopted region are taken apart, in the way it was opened with ({@link RegionOptions#unmerge()}). A
     * forgotten one that there is no memory for stays open and marked; it is closed when a region is next opened and there is.
     *
     * @throws IllegalStateException with backend {@code ffm}, if a native call is using a view of the region at this moment;
     *     the region stays open then
     * @throws MapCountExceededException if the process has so many mappings that the kernel cannot even split one to unmap
     *     its middle. The region is closed and its pages are given back; the addresses follow with a later call
     * @throws UnmergeRefusedException if there is not enough memory to take merged pages of adopted memory apart; the region
     *     stays open and marked then
     * @throws KsmException if withdrawing the advice from adopted memory fails; the region stays open then
     */
    @Override
    public void close() {
        try {
            state.close(mapping);
        } finally {
            // What is being closed must not be taken for forgotten.
            Reference.reachabilityFence(this);
        }
        forgotten.clean();
    }

    /** The owner and the range. */
    @Override
    public String toString() {
        return state.toString();
    }
}
