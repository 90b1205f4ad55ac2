// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
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
 * A range of whole memory pages that can be marked mergeable. A region is either <em>allocated</em> by
 * {@link Ksm#allocate(long)}, or <em>adopted</em> by {@link Ksm#adopt(long, long)} from memory that was not allocated
 * through ksm4j.
 *
 * <p>What happens to the memory depends on the kind of region and the backend:
 *
 * <table>
 * <caption>Lifetime of a region</caption>
 * <tr><th></th><th>allocated, backend ffm</th><th>allocated, backends jnr, jna</th><th>adopted</th></tr>
 * <tr><th>{@link #close()}</th><td>unmapped</td><td>pages freed; addresses reserved until the last buffer is
 * unreachable</td><td>unmarked where no other region wants it mergeable</td></tr>
 * <tr><th>views after close</th><td>throw {@code IllegalStateException}</td><td>read zeros, or what was written after
 * the close</td><td>unchanged: the memory belongs to its owner</td></tr>
 * <tr><th>not closed</th><td colspan="3">reclaimed and reported as a leak once neither the region nor any view of it is
 * reachable</td></tr>
 * </table>
 *
 * <p>Regions are safe for use by multiple threads. Once a region is closed, every method throws
 * {@link IllegalStateException} except {@link #close()}, {@link #isOpen()}, {@link #range()}, {@link #size()},
 * {@link #address()} and {@link #owner()}. A {@code close} waits for methods running on other threads, with two
 * exceptions: while {@link #stats()} and {@link #unmarkedRanges()} read {@code /proc}, a concurrent close can let other
 * memory take the region's place.
 *
 * @since 0.1.0
 */
public final class MergeRegion implements AutoCloseable {

    private static final LateCleaner CLEANER = new LateCleaner();

    /** A few bytes less than a buffer could have, because a memory segment makes none larger. */
    private static final int MAX_BUFFER_SIZE = Integer.MAX_VALUE - 8;

    private final RegionState state;

    /** The views of allocated memory; null for adopted memory. */
    private final @Nullable NativeMapping mapping;

    private final Cleaner.Cleanable leakCleanup;

    MergeRegion(RegionState state) {
        this.state = state;
        this.mapping =
                state.isAdopted() ? null : state.kernel.backend.map(state.range.start(), state.range.length(), this);
        this.leakCleanup = CLEANER.get().register(this, state);
    }

    /**
     * Returns the address range of this region.
     *
     * @return the range, which consists of whole pages
     */
    public AddressRange range() {
        return state.range;
    }

    /** {@return the address of the region's first byte, which is on a page boundary} */
    public long address() {
        return state.range.start();
    }

    /** {@return the size of the region in bytes, a multiple of the page size} */
    public long size() {
        return state.range.length();
    }

    /**
     * Returns the owner name recorded in the registry.
     *
     * @return the region's name; if it has none, the name of the thread that opened it
     */
    public String owner() {
        return state.owner;
    }

    /** {@return whether the region is open; false as soon as {@link #close()} has begun to release the memory} */
    public boolean isOpen() {
        return state.isOpen();
    }

    /**
     * Returns a buffer over the whole of an allocated region.
     *
     * <p>The table in {@link MergeRegion} describes what the buffer does after {@link #close()}. That protection does
     * not extend to addresses taken from the buffer: code that accesses memory by address, such as {@code Unsafe},
     * native code and Netty's {@code Unpooled.wrappedBuffer}, may crash the JVM after a close.
     *
     * @return a new direct buffer in big-endian order
     * @throws IllegalStateException if the region is closed
     * @throws UnsupportedOperationException if the memory is adopted
     * @throws IndexOutOfBoundsException if the region exceeds the maximum size of a buffer (2 GiB minus 9 bytes)
     */
    public ByteBuffer buffer() {
        if (size() > MAX_BUFFER_SIZE) {
            throw new IndexOutOfBoundsException("a buffer has at most " + MAX_BUFFER_SIZE
                    + " bytes, but the region has " + size() + ": use buffer(offset, length)");
        }
        return buffer(0, (int) size());
    }

    /**
     * Returns a buffer over part of an allocated region. The buffer keeps the region reachable. The warning about
     * addresses in {@link #buffer()} applies here too.
     *
     * @param offset the first byte of the part, relative to the start of the region
     * @param length the length of the part in bytes, at most 2 GiB minus 9 bytes
     * @return a new direct buffer in big-endian order
     * @throws IllegalStateException if the region is closed
     * @throws UnsupportedOperationException if the memory is adopted; use the buffers of its owner
     * @throws IndexOutOfBoundsException if the part is not inside the region, or exceeds the maximum size of a buffer
     */
    public ByteBuffer buffer(long offset, int length) {
        Objects.checkFromIndexSize(offset, length, size());
        if (length > MAX_BUFFER_SIZE) {
            throw new IndexOutOfBoundsException(
                    "a buffer has at most " + MAX_BUFFER_SIZE + " bytes, not " + length + ": use several buffers");
        }
        try {
            return mapping().buffer(offset, length);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Returns a view of the whole of an allocated region, of a type specific to the backend. Backend {@code ffm}
     * supports {@code java.lang.foreign.MemorySegment}; {@code io.ksm4j.ffm.Segments.of(region)} is a shorter way to
     * get one.
     *
     * @param type the class of the view
     * @param <T> the type of the view
     * @return the view
     * @throws IllegalStateException if the region is closed
     * @throws IllegalArgumentException if the backend does not support this type of view
     * @throws UnsupportedOperationException if the memory is adopted
     */
    public <T> T view(Class<T> type) {
        Objects.requireNonNull(type, "type");
        try {
            T view = mapping().view(type);
            if (view == null) {
                throw new IllegalArgumentException(
                        "backend " + state.kernel.backend.name() + " has no view of type " + type.getName()
                                + "; for a MemorySegment, add io.ksm4j:ksm-ffm to the class path and use Java 22 or"
                                + " later");
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
                    "the memory of region " + state + " is adopted: use the buffers of its owner");
        }
        return mapping;
    }

    RegionState state() {
        return state;
    }

    /**
     * Marks the region mergeable with {@code madvise(MADV_MERGEABLE)}. Has no effect if it is already marked.
     *
     * @throws IllegalStateException if the region is closed, must never merge, or its memory no longer exists
     * @throws KsmUnsupportedException if the kernel has no KSM
     * @throws UnmappedRangeException if all or part of adopted memory is no longer mapped
     * @throws MarkNotTakenException if adopted memory is of a kind that cannot merge
     * @throws MapCountExceededException if the process has too many mappings
     * @throws ResourceUnavailableException if the kernel is short of memory
     * @throws KsmException if a system call fails for another reason. After any of these exceptions the region is
     *     unchanged
     */
    public void markMergeable() {
        try {
            state.mark(true, state.unmerge);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Marks part of the region mergeable.
     *
     * @param offset the first byte of the part, a multiple of the page size
     * @param length the length of the part in bytes, a positive multiple of the page size
     * @throws IllegalArgumentException if the offset or the length is not such a multiple
     * @throws IndexOutOfBoundsException if the part is not inside the region
     * @throws IllegalStateException as {@link #markMergeable()}
     * @throws KsmException as {@link #markMergeable()}
     */
    public void markMergeable(long offset, long length) {
        markPart(offset, length, true);
    }

    /**
     * Unmarks the region like {@link #markUnmergeable(Unmerge)}, in the mode it was opened with
     * ({@link RegionOptions#unmerge()}).
     *
     * @throws IllegalStateException if the region is closed, or its memory no longer exists
     * @throws UnmappedRangeException if all or part of adopted memory is no longer mapped
     * @throws MapCountExceededException if the process has too many mappings
     * @throws UnmergeRefusedException if there is not enough memory for the copies
     * @throws ResourceUnavailableException if the kernel is short of memory
     * @throws KsmException if a system call fails for another reason. After any of these exceptions the region is
     *     unchanged
     */
    public void markUnmergeable() {
        markUnmergeable(state.unmerge);
    }

    /**
     * Unmarks the region with {@code madvise(MADV_UNMERGEABLE)}, except for pages that another open region wants
     * mergeable.
     *
     * <p>The kernel copies all merged pages at once, which can take as much memory as merging had saved. If that memory
     * is not available, it invokes the OOM killer; {@code unmerge} selects how to avoid that.
     *
     * @param unmerge how to check for memory before merged pages are copied
     * @throws IllegalStateException if the region is closed, or its memory no longer exists
     * @throws UnmappedRangeException if all or part of adopted memory is no longer mapped
     * @throws MapCountExceededException if the process has too many mappings
     * @throws UnmergeRefusedException if there is not enough memory for the copies
     * @throws ResourceUnavailableException if the kernel is short of memory
     * @throws KsmException if a system call fails for another reason. After any of these exceptions the region is
     *     unchanged
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
     * Unmarks part of the region, in the mode it was opened with ({@link RegionOptions#unmerge()}).
     *
     * @param offset the first byte of the part, a multiple of the page size
     * @param length the length of the part in bytes, a positive multiple of the page size
     * @throws IllegalArgumentException if the offset or the length is not such a multiple
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
     * Frees pages of an allocated region with {@code madvise(MADV_DONTNEED)}. They use no memory until they are next
     * accessed, and then contain zeros. Marks are unchanged.
     *
     * <p>Several threads may discard parts at the same time. If another thread writes to a part while it is being
     * discarded, the part afterwards contains either what was written last or zeros.
     *
     * @param offset the first byte of the part, a multiple of the page size
     * @param length the length of the part in bytes, a positive multiple of the page size
     * @throws IllegalArgumentException if the offset or the length is not such a multiple
     * @throws IndexOutOfBoundsException if the part is not inside the region
     * @throws UnsupportedOperationException if the memory is adopted; only its owner may free it
     * @throws IllegalStateException if the region is closed
     * @throws KsmException if the system call fails, as it does before Linux 5.18 for memory locked with
     *     {@code mlock(2)}
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
     * Returns whether the whole of this region is marked mergeable according to the registry. To ask the kernel
     * instead, use {@link #unmarkedRanges()}.
     *
     * @return true after {@link #markMergeable()}, or after all parts of the region were marked
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
     * Asks the kernel which parts of the region are not marked mergeable, regardless of who marked or unmarked them.
     * These are the parts whose {@code VmFlags} in {@code /proc/self/smaps} lack {@code mg}. Takes milliseconds per
     * resident GiB of the process.
     *
     * @return the unmarked parts, sorted by address; empty if the whole region is marked. For fallback regions, the
     *     parts that are not marked in the registry
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
     * Reads how much memory the region occupies and saves. {@link Ksm#stats(java.util.Collection)} reads many regions
     * at once, and describes the cost and the effect on neighbouring mappings, which are the same here.
     *
     * @return the statistics; {@link RegionStats#NONE} for fallback regions
     * @throws IllegalStateException if the region is closed, or its memory no longer exists
     * @throws MapCountExceededException if the region shares a mapping with its neighbours, and the process has too
     *     many mappings to split it
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
     * Waits until the given share of the region is merged, or until no further merging can be expected.
     * {@link Ksm#awaitMerged} waits for many regions, and describes how.
     *
     * @param share the share of the pages in use to wait for, greater than 0 and at most 1; see
     *     {@link RegionStats#mergedShare()}
     * @param timeout the maximum time to wait; 0 checks once
     * @return why waiting ended
     * @throws InterruptedException if the thread is interrupted before or during the wait
     * @throws IllegalArgumentException if the share is out of range or the timeout is negative
     * @throws IllegalStateException if the region is closed before or during the wait. This is detected when a kernel
     *     counter has changed or the timeout is reached
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
     * Closes the region. The table in {@link MergeRegion} describes what happens to the memory. Closing a closed region
     * has no effect.
     *
     * <p>Closing an allocated region frees its pages without copying merged ones, so a lack of memory never prevents
     * it. Closing an adopted region unmerges its pages, in the mode it was opened with
     * ({@link RegionOptions#unmerge()}). If an adopted region is leaked and there is not enough memory to unmerge it,
     * it stays open and marked; it is closed when a region is next opened and there is enough memory.
     *
     * @throws IllegalStateException if a native call is using a view of the region at this moment (backend {@code ffm}
     *     only). The region stays open
     * @throws MapCountExceededException if the process has so many mappings that the kernel cannot split one to unmap
     *     its middle. The region is closed and its pages are freed; the addresses are unmapped by a later call
     * @throws UnmergeRefusedException if there is not enough memory to unmerge adopted memory. The region stays open
     *     and marked
     * @throws KsmException if unmarking adopted memory fails. The region stays open
     */
    @Override
    public void close() {
        try {
            state.close(mapping);
        } finally {
            // A region that is being closed must not be reported as a leak.
            Reference.reachabilityFence(this);
        }
        leakCleanup.clean();
    }

    /** {@return the owner and the address range} */
    @Override
    public String toString() {
        return state.toString();
    }
}
