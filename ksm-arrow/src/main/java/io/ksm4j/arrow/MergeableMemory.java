// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.arrow;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.MapCountExceededException;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.stats.RegionStats;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import org.apache.arrow.memory.AllocationManager;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.OutOfMemoryException;
import org.apache.arrow.memory.ReferenceManager;
import org.apache.arrow.memory.util.MemoryUtil;
import org.jspecify.annotations.Nullable;

/**
 * Memory for the buffers of Apache Arrow in which equal pages merge. Allocators that read the same data, for example
 * one {@code RootAllocator} per tenant, then need its memory only once.
 *
 * <pre>{@code
 * try (MergeableMemory memory = MergeableMemory.of(Ksm.systemOrFallback());
 *         BufferAllocator allocator = new RootAllocator(
 *                 RootAllocator.configBuilder().allocationManagerFactory(memory).build());
 *         ArrowStreamReader reader = new ArrowStreamReader(in, allocator)) {
 *     reader.loadNextBatch();
 *     System.out.println(memory.mergeStats().savedBytes());
 * }
 * }</pre>
 *
 * <p><b>Placement.</b> A buffer of more than half a page starts on a page boundary, and no other buffer uses its pages:
 * buffers with equal content merge. Smaller buffers are packed, in pages that each contain buffers of one root
 * allocator and one size, which is rounded up to a power of two of at least 64 bytes. These pages are equal, and merge,
 * if root allocators have allocated and released small buffers in the same order.
 *
 * <p><b>Regions.</b> Pages are taken from regions of 16 MiB, so that many buffers need few mappings. Only a larger
 * buffer has a region of its own. A region is closed when its last buffer is released, except for one that is kept for
 * the next buffers.
 *
 * <p><b>Contents.</b> A new buffer consists of zeros, which is more than Arrow requires. No buffer shows what a
 * released one contained. Up to 16 MiB of released buffers of at most 1 MiB keep their memory for the next buffers,
 * which are then overwritten with zeros. All other released pages return to the kernel at once, and a new buffer of
 * such pages uses memory when it is written, at the cost of one page fault per page. {@link #trim()} returns all pages.
 *
 * <p><b>Failures.</b> If {@code ksm} cannot allocate a region, Arrow's {@link OutOfMemoryException} is thrown, with the
 * {@link KsmException} as its cause.
 *
 * <p>On Java 17 and later, Arrow needs {@code --add-opens=java.base/java.nio=ALL-UNNAMED}, or, as a module,
 * {@code --add-opens=java.base/java.nio=org.apache.arrow.memory.core}.
 *
 * <p>Safe for use by multiple threads, and by any number of allocators.
 *
 * @since 0.1.0
 */
public final class MergeableMemory implements AllocationManager.Factory, AutoCloseable {

    private static final long CHUNK_SIZE = 16L << 20;

    private static final long MAX_RETAINED_BYTES = CHUNK_SIZE;
    private static final long MAX_RETAINED_LENGTH = 1L << 20;

    /**
     * Keeps memory reachable while it has buffers. Arrow's users may access a buffer by its address when nothing else
     * reaches it, and memory of Arrow's own stays until it is released.
     */
    private static final Set<MergeableMemory> IN_USE = ConcurrentHashMap.newKeySet();

    private final Ksm ksm;
    private final RegionOptions options;
    private final long pageSize;

    /** Guards all that follow. No system call is made with it. */
    private final ReentrantLock lock = new ReentrantLock();

    private final Set<Chunk> chunks = new HashSet<>();
    private final FreePages free = new FreePages();
    private final RetainedPages retained = new RetainedPages();

    /** The key is a root allocator. */
    private final IdentityHashMap<BufferAllocator, SmallBuffers> smallBuffers = new IdentityHashMap<>();

    private long buffers;
    private long bufferBytes;
    private long pageBytes;
    private boolean closed;

    /** Held while regions are closed, so that none is while statistics are read. Acquired before {@link #lock}. */
    private final ReentrantLock unmapping = new ReentrantLock();

    private MergeableMemory(Ksm ksm, RegionOptions options) {
        this.ksm = ksm;
        this.options = options;
        this.pageSize = ksm.pageSize();
    }

    /**
     * Creates memory without any region yet. Its regions are named {@code arrow}, marked mergeable, and use no huge
     * pages, because those do not merge.
     *
     * @param ksm allocates the regions
     * @return new memory, which must be closed after all allocators that use it
     * @throws IllegalStateException if the JVM lacks the option {@code --add-opens} that Arrow needs
     */
    public static MergeableMemory of(Ksm ksm) {
        return of(ksm, RegionOptions.DEFAULT.withName("arrow").withHugePages(HugePages.AVOID));
    }

    /**
     * Creates memory without any region yet.
     *
     * @param ksm allocates the regions
     * @param options the options of the regions; {@code populate} must be false, because pages are created when they
     *     are written
     * @return new memory, which must be closed after all allocators that use it
     * @throws IllegalArgumentException if {@code options} would populate the regions
     * @throws IllegalStateException if the JVM lacks the option {@code --add-opens} that Arrow needs
     */
    public static MergeableMemory of(Ksm ksm, RegionOptions options) {
        Objects.requireNonNull(ksm, "ksm");
        if (options.populate()) {
            throw new IllegalArgumentException(
                    "the regions must not be populated: their pages are created when they are written");
        }
        try {
            addressOf(ByteBuffer.allocateDirect(1));
        } catch (UnsupportedOperationException e) {
            throw new IllegalStateException(
                    "Arrow cannot read the addresses of buffers: start Java with"
                            + " --add-opens=java.base/java.nio=ALL-UNNAMED, or, if Arrow is a module,"
                            + " --add-opens=java.base/java.nio=org.apache.arrow.memory.core",
                    e);
        }
        return new MergeableMemory(ksm, options);
    }

    private static long addressOf(ByteBuffer buffer) {
        return MemoryUtil.getByteBufferAddress(buffer);
    }

    /**
     * Allocates a buffer. Allocators call this method.
     *
     * @param accountingAllocator the allocator
     * @param size the size in bytes
     * @return the buffer's memory, filled with zeros
     * @throws OutOfMemoryException if no region can be allocated. Nothing stays allocated after a failure
     * @throws IllegalStateException if this memory is closed
     */
    @Override
    public AllocationManager create(BufferAllocator accountingAllocator, long size) {
        if (size < 0) {
            throw new IllegalArgumentException("invalid size " + size + ": must be at least 0");
        }
        BufferAllocator root = accountingAllocator.getRoot();
        Block block = size > pageSize / 2 ? allocatePages(size, size) : allocateSlot(root, size);
        boolean isCreated = false;
        try {
            AllocationManager created = new MergeableAllocation(this, accountingAllocator, block, size);
            isCreated = true;
            return created;
        } finally {
            if (!isCreated) {
                release(root, block, size);
            }
        }
    }

    /**
     * Allocates whole pages.
     *
     * @param size at least so many bytes
     * @param bufferSize bytes of the buffer that they are for
     */
    private Block.Pages allocatePages(long size, long bufferSize) {
        boolean isLarge = size > CHUNK_SIZE;
        if (!isLarge) {
            Block.Pages pages = takeRetained(roundUp(size), bufferSize);
            if (pages != null) {
                pages.overwrite();
                return pages;
            }
            pages = takeFree(roundUp(size), bufferSize);
            if (pages != null) {
                return pages;
            }
        }
        Chunk chunk = map(isLarge ? size : CHUNK_SIZE);
        lock.lock();
        try {
            if (!closed) {
                chunks.add(chunk);
                Block.Pages whole = new Block.Pages(chunk, chunk.address(), chunk.size());
                if (isLarge) {
                    return use(whole, bufferSize);
                }
                free.add(whole);
                return use(Objects.requireNonNull(free.take(roundUp(size)), "a new chunk has room"), bufferSize);
            }
        } finally {
            lock.unlock();
        }
        unmap(chunk);
        throw closedException();
    }

    private Block.@Nullable Pages takeRetained(long length, long bufferSize) {
        lock.lock();
        try {
            requireOpen();
            Block.Pages pages = retained.take(length);
            return pages == null ? null : use(pages, bufferSize);
        } finally {
            lock.unlock();
        }
    }

    private Block.@Nullable Pages takeFree(long length, long bufferSize) {
        lock.lock();
        try {
            requireOpen();
            Block.Pages pages = free.take(length);
            return pages == null ? null : use(pages, bufferSize);
        } finally {
            lock.unlock();
        }
    }

    /** Called with the lock. */
    private Block.Pages use(Block.Pages pages, long bufferSize) {
        pageBytes += pages.length();
        addBuffer(bufferSize);
        return pages;
    }

    /** Called with the lock. */
    private void addBuffer(long size) {
        bufferBytes += size;
        buffers++;
        if (buffers == 1) {
            IN_USE.add(this);
        }
    }

    private Block allocateSlot(BufferAllocator root, long size) {
        int slotSize = SmallBuffers.slotSize(size);
        lock.lock();
        try {
            requireOpen();
            SmallBuffers ofTenant = smallBuffers.get(root);
            Block.Slot slot = ofTenant == null ? null : ofTenant.take(slotSize);
            if (slot != null) {
                addBuffer(size);
                return slot;
            }
        } finally {
            lock.unlock();
        }
        Block.Pages page = allocatePages(pageSize, size);
        lock.lock();
        try {
            SmallBuffers ofTenant = smallBuffers.computeIfAbsent(root, tenant -> new SmallBuffers());
            ofTenant.add(new Slab(page, slotSize));
            return Objects.requireNonNull(ofTenant.take(slotSize), "a new slab has room");
        } finally {
            lock.unlock();
        }
    }

    private Chunk map(long size) {
        MergeRegion region;
        try {
            region = ksm.allocate(size, options);
        } catch (KsmException | IllegalArgumentException | UnsupportedOperationException e) {
            throw new OutOfMemoryException("cannot allocate " + size + " bytes: " + e.getMessage(), e);
        }
        return new Chunk(region, addressOf(region.buffer(0, 1)), region.size());
    }

    /** Called once for each block. */
    void release(BufferAllocator root, Block block, long size) {
        Block.Pages unused;
        if (block instanceof Block.Slot slot) {
            MemoryUtil.setMemory(slot.address(), slot.slab().slotSize, (byte) 0);
            unused = freeSlot(root, slot);
        } else {
            unused = (Block.Pages) block;
        }
        List<Chunk> unneeded = unused == null ? List.of() : releasePages(unused);
        lock.lock();
        try {
            // Last, because close() may unmap everything when there is no buffer.
            bufferBytes -= size;
            buffers--;
            if (buffers == 0) {
                IN_USE.remove(this);
            }
        } finally {
            lock.unlock();
        }
        unneeded.forEach(this::unmap);
    }

    /** Returns the chunks that are to be unmapped. */
    private List<Chunk> releasePages(Block.Pages pages) {
        List<Block.Pages> unused;
        lock.lock();
        try {
            pageBytes -= pages.length();
            if (pages.length() > CHUNK_SIZE) {
                chunks.remove(pages.chunk());
                return List.of(pages.chunk());
            }
            if (pages.length() > MAX_RETAINED_LENGTH) {
                unused = List.of(pages);
            } else {
                retained.add(pages);
                unused = retained.removeOldest(MAX_RETAINED_BYTES);
            }
        } finally {
            lock.unlock();
        }
        return free(unused, 1);
    }

    /** Gives memory back, and returns the chunks without buffers, except for this many of them. */
    private List<Chunk> free(List<Block.Pages> unused, int keptChunks) {
        unused.forEach(Block.Pages::discard);
        lock.lock();
        try {
            unused.forEach(free::add);
            List<Chunk> unneeded = free.removeRuns(CHUNK_SIZE, keptChunks);
            chunks.removeAll(unneeded);
            return unneeded;
        } finally {
            lock.unlock();
        }
    }

    /**
     * Gives all free memory back: the pages that are retained for the next buffers, and regions without buffers. Call
     * it when data has been loaded, and before merging is measured.
     *
     * @throws IllegalStateException if this memory is closed
     */
    public void trim() {
        // With this lock, close() does not unmap pages that are being discarded.
        unmapping.lock();
        try {
            List<Block.Pages> unused;
            lock.lock();
            try {
                requireOpen();
                unused = retained.removeOldest(0);
            } finally {
                lock.unlock();
            }
            free(unused, 0).forEach(this::unmap);
        } finally {
            unmapping.unlock();
        }
    }

    /** {@return the page of the slot, if it has no other} */
    private Block.@Nullable Pages freeSlot(BufferAllocator root, Block.Slot slot) {
        lock.lock();
        try {
            SmallBuffers ofTenant = Objects.requireNonNull(smallBuffers.get(root), "small buffers of the root");
            boolean isLast = ofTenant.free(slot);
            if (ofTenant.isEmpty()) {
                smallBuffers.remove(root);
            }
            return isLast ? slot.slab().pages : null;
        } finally {
            lock.unlock();
        }
    }

    private void unmap(Chunk chunk) {
        unmapping.lock();
        try {
            chunk.region().close();
        } catch (MapCountExceededException e) {
            // The region is closed and its pages are freed. A later call of ksm4j unmaps the addresses.
        } finally {
            unmapping.unlock();
        }
    }

    private long roundUp(long size) {
        return (size + pageSize - 1) & -pageSize;
    }

    /**
     * Returns an empty buffer. Allocators call this method.
     *
     * @return a buffer without memory, which need not be released
     */
    @Override
    public ArrowBuf empty() {
        return new ArrowBuf(ReferenceManager.NO_OP, null, 0, 0);
    }

    /**
     * Returns how much memory the buffers use, before the kernel merges any of it.
     *
     * @return the statistics
     */
    public MergeableMemoryStats stats() {
        lock.lock();
        try {
            long regionBytes = chunks.stream().mapToLong(Chunk::size).sum();
            return new MergeableMemoryStats(
                    buffers, bufferBytes, pageBytes, retained.bytes(), chunks.size(), regionBytes);
        } finally {
            lock.unlock();
        }
    }

    /**
     * Reads how much memory the regions occupy, and what merging saves. Takes milliseconds, as described for
     * {@link Ksm#stats(java.util.Collection)}; releasing a buffer may wait for it.
     *
     * @return the total of all regions; {@link RegionStats#NONE} for fallback regions
     * @throws IllegalStateException if this memory is closed
     * @throws KsmException as {@link Ksm#stats(java.util.Collection)}
     * @throws java.io.UncheckedIOException if {@code /proc} cannot be read
     */
    public RegionStats mergeStats() {
        unmapping.lock();
        try {
            return ksm.stats(regions()).values().stream().reduce(RegionStats.NONE, RegionStats::plus);
        } finally {
            unmapping.unlock();
        }
    }

    List<MergeRegion> regions() {
        lock.lock();
        try {
            requireOpen();
            return chunks.stream().map(Chunk::region).toList();
        } finally {
            lock.unlock();
        }
    }

    /** Called with the lock. */
    private void requireOpen() {
        if (closed) {
            throw closedException();
        }
    }

    private IllegalStateException closedException() {
        return new IllegalStateException("this memory is closed");
    }

    /**
     * Closes all regions. Closing closed memory has no effect.
     *
     * <p>Arrow accesses buffers by address, so their memory must not be unmapped before they are released.
     *
     * @throws IllegalStateException if a buffer has not been released. Nothing is closed; try again after releasing it
     * @throws KsmException as {@link MergeRegion#close()}. All other regions are closed
     */
    @Override
    public void close() {
        List<Chunk> unneeded;
        lock.lock();
        try {
            if (buffers > 0) {
                throw new IllegalStateException(
                        buffers + " buffers with " + bufferBytes + " bytes have not been released: close vectors,"
                                + " readers and allocators before the memory that they use");
            }
            closed = true;
            unneeded = new ArrayList<>(chunks);
            chunks.clear();
        } finally {
            lock.unlock();
        }
        unneeded.forEach(this::unmap);
    }

    /** {@return the name and the number of buffers} */
    @Override
    public String toString() {
        MergeableMemoryStats stats = stats();
        return "MergeableMemory[" + options.name() + ", " + stats.buffers() + " buffers, " + stats.bufferBytes()
                + " bytes]";
    }
}
