// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.stats.RegionStats;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * A pool of off-heap blocks for values that should merge. Equal values are stored in equal pages: each block starts on
 * a page boundary, the rest of its last page is zero, and its pages contain nothing else.
 *
 * <pre>{@code
 * try (MergePool pool = MergePool.create(Ksm.system(), 1L << 30)) {
 *     MergeBlock block = pool.store(bytes);
 *     byte[] copy = block.toByteArray();
 *     block.close();
 * }
 * }</pre>
 *
 * <p>The blocks are placed in a few regions, so that many blocks need few mappings. Closing a block frees its pages at
 * once, and a new block is filled with zeros. The pool is bounded: the size of its blocks, in whole pages and before
 * merging, never exceeds its capacity.
 *
 * <p>Every block uses whole pages, so small values waste most of a page. With pages of 4 KiB, a pool saves memory for
 * values of about 3 KiB and more if there are two copies of each value, and of 1 KiB and more if there are eight.
 * {@code docs/pool.md} has the measurements.
 *
 * <p>Pools are safe for use by multiple threads. A block that is never closed keeps its pages until the pool is closed.
 *
 * @since 0.1.0
 */
public final class MergePool implements AutoCloseable {

    /** The maximum size of a region: a larger one would need more than one buffer. */
    private static final long MAX_REGION_BYTES = 1L << 30;

    private static final long MIN_REGION_BYTES = 16L << 20;
    private static final int MAX_INITIAL_REGIONS = 32;

    private final Ksm ksm;
    private final RegionOptions options;
    private final long capacity;
    private final long regionBytes;
    final int pageSize;

    private final AtomicLong usedPages = new AtomicLong();

    /**
     * The first of the closed blocks that still have their pages, because freeing them failed; it links to the others.
     */
    private final AtomicReference<@Nullable MergeBlock> unfreed = new AtomicReference<>();

    /** Held by the one thread that maps another region. Other threads wait for it. */
    private final ReentrantLock growing = new ReentrantLock();

    /** Replaced by a longer array to add a region; an array is never modified. */
    private volatile Chunk[] chunks;

    private volatile boolean open = true;

    private MergePool(Ksm ksm, long capacity, RegionOptions options) {
        this.ksm = ksm;
        this.options = options;
        this.pageSize = Math.toIntExact(ksm.pageSize());
        this.capacity = capacity / pageSize * pageSize;
        // Two per processor keep contention low; the maximum keeps the number of mappings small.
        int maxRegions = Math.min(2 * Runtime.getRuntime().availableProcessors(), MAX_INITIAL_REGIONS);
        long each = Math.max(MIN_REGION_BYTES, Math.min(capacity / maxRegions, MAX_REGION_BYTES));
        this.regionBytes = (each + pageSize - 1) / pageSize * pageSize;
        Chunk[] first = new Chunk[(int) Math.max(1, Math.min(maxRegions, capacity / regionBytes))];
        int made = 0;
        try {
            while (made < first.length) {
                first[made] = newChunk(regionBytes);
                made++;
            }
        } catch (RuntimeException | Error e) {
            for (int i = 0; i < made; i++) {
                Failures.close(first[i].region, e);
            }
            throw e;
        }
        this.chunks = first;
    }

    /**
     * Creates a pool whose regions are marked mergeable and use no huge pages, because those do not merge.
     *
     * @param ksm allocates the regions
     * @param capacityBytes the maximum size of all blocks together, in whole pages and before merging
     * @return an empty pool
     * @throws IllegalArgumentException if the capacity is less than a page
     * @throws KsmException as {@link Ksm#allocate(long, RegionOptions)}
     */
    public static MergePool create(Ksm ksm, long capacityBytes) {
        return create(ksm, capacityBytes, RegionOptions.DEFAULT.withHugePages(HugePages.AVOID));
    }

    /**
     * Creates a pool.
     *
     * @param ksm allocates the regions
     * @param capacityBytes the maximum size of all blocks together, in whole pages and before merging
     * @param options the options of the regions; their name becomes the name of the pool. {@code populate} must be
     *     false, because a pool's pages are created when they are written
     * @return an empty pool
     * @throws IllegalArgumentException if the capacity is less than a page, or {@code options} would populate the
     *     regions
     * @throws KsmException as {@link Ksm#allocate(long, RegionOptions)}
     */
    public static MergePool create(Ksm ksm, long capacityBytes, RegionOptions options) {
        Objects.requireNonNull(options, "options");
        if (capacityBytes < ksm.pageSize()) {
            throw new IllegalArgumentException(
                    "capacity " + capacityBytes + " is less than a page of " + ksm.pageSize() + " bytes");
        }
        if (options.populate()) {
            throw new IllegalArgumentException(
                    "the regions of a pool must not be populated: its pages are created when they are written");
        }
        return new MergePool(ksm, capacityBytes, options);
    }

    private Chunk newChunk(long bytes) {
        return Chunk.map(this, ksm, bytes, options);
    }

    /**
     * Allocates a block of zeros.
     *
     * @param size the size in bytes: 0 to the pool's capacity, and at most 1 GiB
     * @return an open block
     * @throws IllegalArgumentException if the size is out of range
     * @throws PoolExhaustedException if the block does not fit into the remaining capacity. Nothing has changed
     * @throws KsmException if the kernel has no memory or no mapping for another region. Nothing has changed
     * @throws IllegalStateException if the pool is closed
     */
    public MergeBlock allocate(int size) {
        if (size < 0 || size > Math.min(capacity, MAX_REGION_BYTES)) {
            throw new IllegalArgumentException(
                    "a block of this pool has 0 to " + Math.min(capacity, MAX_REGION_BYTES) + " bytes, not " + size);
        }
        StackRoom.requireForChange();
        requireOpen();
        freeUnfreed();
        int pages = pages(size);
        // Created first, because what follows needs no heap memory.
        MergeBlock block = new MergeBlock(chunks[0], size);
        reserve(pages);
        boolean done = false;
        try {
            take(block);
            done = true;
        } finally {
            if (!done) {
                free(block);
            }
        }
        // Any thread that gets the block sees where it is placed, even if it was passed on through a data race.
        VarHandle.releaseFence();
        return block;
    }

    /**
     * Allocates a block of the size of a value, and copies the value into it.
     *
     * @param value the bytes from its position to its limit; afterwards its position equals its limit
     * @return an open block that contains the bytes
     * @throws IllegalArgumentException as {@link #allocate}
     * @throws PoolExhaustedException as {@link #allocate}
     * @throws KsmException as {@link #allocate}
     * @throws IllegalStateException if the pool is closed
     */
    public MergeBlock store(ByteBuffer value) {
        MergeBlock block = allocate(value.remaining());
        try {
            block.put(0, value);
        } catch (RuntimeException | Error e) {
            Failures.close(block, e);
            throw e;
        }
        return block;
    }

    /**
     * Allocates a block of the size of a value, and copies the value into it.
     *
     * @param value the bytes
     * @return an open block that contains the bytes
     * @throws IllegalArgumentException as {@link #allocate}
     * @throws PoolExhaustedException as {@link #allocate}
     * @throws KsmException as {@link #allocate}
     * @throws IllegalStateException if the pool is closed
     */
    public MergeBlock store(byte[] value) {
        return store(ByteBuffer.wrap(value));
    }

    int pages(int size) {
        return (int) (((long) size + pageSize - 1) / pageSize);
    }

    private void reserve(int pages) {
        long maxPages = capacity / pageSize;
        long used;
        do {
            used = usedPages.get();
            if (used + pages > maxPages) {
                throw new PoolExhaustedException(
                        "pool " + this + " has no room for " + pages + " pages: its blocks use " + used + " of "
                                + maxPages + "; close some, or create a larger pool");
            }
        } while (!usedPages.compareAndSet(used, used + pages));
    }

    private void take(MergeBlock block) {
        while (true) {
            Chunk[] all = chunks;
            // Threads start at different regions, and try all of them before waiting for one that is in use.
            int start = (int) ((Thread.currentThread().getId() * 0x9e3779b97f4a7c15L) >>> 33) % all.length;
            for (int i = 0; i < all.length; i++) {
                if (all[(start + i) % all.length].tryTake(block)) {
                    return;
                }
            }
            for (Chunk chunk : all) {
                if (chunk.take(block)) {
                    return;
                }
            }
            grow(all, block.pages());
        }
    }

    /**
     * Adds a region if the free runs of pages are too short. Reserving more address space is free, and the bound on
     * pages still holds. Regions are never removed, not even those added for a large block: where buffers cannot be
     * revoked, the addresses of closed regions would accumulate until the buffers are collected.
     */
    private void grow(Chunk[] known, int pages) {
        growing.lock();
        try {
            if (chunks.length > known.length) {
                return;
            }
            Chunk[] more = Arrays.copyOf(known, known.length + 1);
            // Rounded up, so that slightly larger blocks fit there later.
            long needed = Long.highestOneBit(2L * pages * pageSize - 1);
            Chunk chunk = newChunk(Math.max(regionBytes, needed));
            more[known.length] = chunk;
            chunks = more;
            if (!open) {
                // close() does not wait for this thread, and may have missed the new region.
                chunk.region.close();
            }
            requireOpen();
        } finally {
            growing.unlock();
        }
    }

    /** Frees what {@link #allocate} reserved and took. If that fails, the next allocation tries again. */
    void free(MergeBlock block) {
        boolean done = false;
        try {
            if (block.firstPage != FreePages.NONE) {
                block.chunk.giveBack(block);
            }
            usedPages.addAndGet(-block.pages());
            done = true;
        } finally {
            if (!done) {
                MergeBlock first;
                do {
                    first = unfreed.get();
                    block.nextUnfreed = first;
                } while (!unfreed.compareAndSet(first, block));
            }
        }
    }

    private void freeUnfreed() {
        if (unfreed.get() == null) {
            return;
        }
        MergeBlock block = unfreed.getAndSet(null);
        while (block != null) {
            MergeBlock next = block.nextUnfreed;
            try {
                free(block);
            } catch (RuntimeException | Error e) {
                // free() has put it back into the list.
            }
            block = next;
        }
    }

    /**
     * Returns what the pool contains. Works after close, too.
     *
     * @return the statistics
     */
    public PoolStats stats() {
        Chunk[] all = chunks;
        long blocks = 0;
        long valueBytes = 0;
        long address = 0;
        for (Chunk chunk : all) {
            blocks += chunk.blocks();
            valueBytes += chunk.valueBytes();
            address += chunk.region.size();
        }
        return new PoolStats(capacity, usedPages.get() * pageSize, valueBytes, blocks, all.length, address);
    }

    /**
     * Reads how much memory the pool's pages occupy and save, as the total over its regions. The cost is that of
     * {@link Ksm#stats(java.util.Collection)}.
     *
     * @return the statistics
     * @throws IllegalStateException if the pool is closed before or during the call
     * @throws KsmException as {@link Ksm#stats(java.util.Collection)}
     * @throws java.io.UncheckedIOException if {@code /proc} cannot be read
     */
    public RegionStats mergeStats() {
        requireOpen();
        List<MergeRegion> regions =
                Arrays.stream(chunks).map(chunk -> chunk.region).toList();
        return ksm.stats(regions).values().stream().reduce(RegionStats.NONE, RegionStats::plus);
    }

    /** {@return whether the pool is open; false as soon as {@link #close()} has begun} */
    public boolean isOpen() {
        return open;
    }

    void requireOpen() {
        if (!open) {
            throw closedException();
        }
    }

    IllegalStateException closedException() {
        return new IllegalStateException("pool " + this + " is closed");
    }

    /**
     * Closes the pool and frees its memory. From then on its blocks throw {@code IllegalStateException}, except for
     * their {@code close}, which has no effect. Closing a pool again has no effect, unless a region could not be closed
     * before; then it tries again.
     *
     * @throws IllegalStateException as {@link MergeRegion#close()}. All other regions are closed
     * @throws KsmException as {@link MergeRegion#close()}
     */
    @Override
    public void close() {
        open = false;
        Throwable failed = null;
        for (Chunk chunk : chunks) {
            failed = Failures.close(chunk.region, failed);
        }
        if (failed instanceof RuntimeException exception) {
            throw exception;
        }
        if (failed instanceof Error error) {
            throw error;
        }
    }

    /** {@return the name and the capacity of the pool} */
    @Override
    public String toString() {
        return (options.name().isEmpty() ? "" : options.name() + " ") + "of " + capacity + " bytes";
    }
}
