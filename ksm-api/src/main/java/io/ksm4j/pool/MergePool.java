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
 * Off-heap blocks for values that should merge: equal values give equal pages. Each block starts on a page, its last page ends in zeros,
 * and nothing else stands in its pages.
 *
 * <pre>{@code
 * try (MergePool pool = MergePool.create(Ksm.system(), 1L << 30)) {
 *     MergeBlock block = pool.store(bytes);
 *     byte[] copy = block.toByteArray();
 *     block.close();
 * }
 * }</pre>
 *
 * <p>Blocks stand in a few regions, so that many need few mappings. A freed block's pages go back to the kernel at once, and a block
 * begins as zeros. The pool is bounded: what its blocks take, in whole pages and before merging, never exceeds its capacity.
 *
 * <p>Every block takes whole pages, so small values waste most of one. With pages of 4 KiB a pool saves memory from about 3 KiB on with two copies of
 * each value, and from 1 KiB on with eight; {@code docs/pool.md} has the measurements.
 *
 * <p>Any thread may call any method. Blocks that are forgotten keep their pages until the pool is closed.
 */
public final class MergePool implements AutoCloseable {

    /** Larger regions would need more than one buffer. */
    private static final long MOST_REGION = 1L << 30;

    private static final long LEAST_REGION = 16L << 20;
    private static final int MOST_REGIONS_AT_FIRST = 32;

    private final Ksm ksm;
    private final RegionOptions options;
    private final long capacity;
    private final long regionBytes;
    final int pageSize;

    private final AtomicLong usedPages = new AtomicLong();

    /** Closed blocks that still have their pages, because giving them back failed: the first, which leads to the others. */
    private final AtomicReference<@Nullable MergeBlock> unfreed = new AtomicReference<>();

    /** Held by the one thread that maps another region, while others wait for that. */
    private final ReentrantLock growing = new ReentrantLock();

    /** Grows, and is never changed. */
    private volatile Chunk[] chunks;

    private volatile boolean open = true;

    private MergePool(Ksm ksm, long capacity, RegionOptions options) {
        this.ksm = ksm;
        this.options = options;
        this.pageSize = Math.toIntExact(ksm.pageSize());
        this.capacity = capacity / pageSize * pageSize;
        // Two a processor, so that threads seldom meet at one; but few.
        int most = Math.min(2 * Runtime.getRuntime().availableProcessors(), MOST_REGIONS_AT_FIRST);
        long each = Math.max(LEAST_REGION, Math.min(capacity / most, MOST_REGION));
        this.regionBytes = (each + pageSize - 1) / pageSize * pageSize;
        Chunk[] first = new Chunk[(int) Math.max(1, Math.min(most, capacity / regionBytes))];
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
     * Makes a pool whose blocks are marked mergeable, without huge pages, which do not merge.
     *
     * @param ksm maps its regions
     * @param capacityBytes the most that its blocks may take, in whole pages and before merging
     * @return an empty pool
     * @throws IllegalArgumentException if the capacity is less than a page
     * @throws KsmException as {@link Ksm#allocate(long, RegionOptions)}
     */
    public static MergePool create(Ksm ksm, long capacityBytes) {
        return create(ksm, capacityBytes, RegionOptions.DEFAULT.withHugePages(HugePages.AVOID));
    }

    /**
     * Makes a pool.
     *
     * @param ksm maps its regions
     * @param capacityBytes the most that its blocks may take, in whole pages and before merging
     * @param options of its regions; their name becomes the pool's. Regions must not be populated: pages come when they are written
     * @return an empty pool
     * @throws IllegalArgumentException if the capacity is less than a page, or regions would be populated
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
                    "pages of a pool come when they are written: do not populate its regions");
        }
        return new MergePool(ksm, capacityBytes, options);
    }

    private Chunk newChunk(long bytes) {
        return Chunk.map(this, ksm, bytes, options);
    }

    /**
     * Takes a block of zeros.
     *
     * @param size bytes, 0 or more; at most the pool's capacity, and 1 GiB
     * @return an open block
     * @throws IllegalArgumentException if the size is not in that range
     * @throws PoolExhaustedException if it does not fit beside the blocks there are; nothing has changed then
     * @throws KsmException if the kernel has no memory or no mapping for another region; nothing has changed then
     * @throws IllegalStateException if the pool is closed
     */
    public MergeBlock allocate(int size) {
        if (size < 0 || size > Math.min(capacity, MOST_REGION)) {
            throw new IllegalArgumentException(
                    "a block of this pool has 0 to " + Math.min(capacity, MOST_REGION) + " bytes, not " + size);
        }
        StackRoom.requireForChange();
        requireOpen();
        freeUnfreed();
        int pages = pages(size);
        // First, since what follows needs no heap.
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
        // Whoever gets hold of the block sees where it stands, however it was handed over.
        VarHandle.releaseFence();
        return block;
    }

    /**
     * Takes a block as large as a value, and copies the value into it.
     *
     * @param value the bytes from its position to its limit; its position is its limit afterwards
     * @return an open block that holds them
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
     * Takes a block as large as a value, and copies the value into it.
     *
     * @param value the bytes
     * @return an open block that holds them
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
        long most = capacity / pageSize;
        long used;
        do {
            used = usedPages.get();
            if (used + pages > most) {
                throw new PoolExhaustedException("pool " + this + " has no room for " + pages + " pages: blocks take "
                        + used + " of its " + most + "; close some, or create a larger pool");
            }
        } while (!usedPages.compareAndSet(used, used + pages));
    }

    private void take(MergeBlock block) {
        while (true) {
            Chunk[] all = chunks;
            // Threads begin at different regions, and go on where another one is, before they wait for it.
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
     * The runs that are free are too short: more addresses are had for nothing, and the bound on pages holds. Regions stay, also those
     * made for a large block: where buffers cannot be revoked, the addresses of closed ones would pile up until they are collected.
     */
    private void grow(Chunk[] known, int pages) {
        growing.lock();
        try {
            if (chunks.length > known.length) {
                return;
            }
            Chunk[] more = Arrays.copyOf(known, known.length + 1);
            // Rounded up, so that blocks that differ a little can follow each other there.
            long needed = Long.highestOneBit(2L * pages * pageSize - 1);
            Chunk chunk = newChunk(Math.max(regionBytes, needed));
            more[known.length] = chunk;
            chunks = more;
            if (!open) {
                // close() does not wait for this thread, and may have missed it.
                chunk.region.close();
            }
            requireOpen();
        } finally {
            growing.unlock();
        }
    }

    /** Frees what {@link #allocate} reserved and took. Where that fails, it is done when a block is next allocated. */
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
                // It is among the unfreed again.
            }
            block = next;
        }
    }

    /**
     * What the pool holds.
     *
     * @return the numbers; also after close
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
     * What the pool's pages occupy and save: the sum over its regions. Takes as long as {@link Ksm#stats(java.util.Collection)}.
     *
     * @return the numbers
     * @throws IllegalStateException if the pool is closed before or meanwhile
     * @throws KsmException as {@link Ksm#stats(java.util.Collection)}
     * @throws java.io.UncheckedIOException if {@code /proc} cannot be read
     */
    public RegionStats mergeStats() {
        requireOpen();
        List<MergeRegion> regions =
                Arrays.stream(chunks).map(chunk -> chunk.region).toList();
        return ksm.stats(regions).values().stream().reduce(RegionStats.NONE, RegionStats::plus);
    }

    /**
     * Whether the pool is open.
     *
     * @return false from the begin of {@link #close()} on
     */
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
     * Gives all memory back. Its blocks throw {@code IllegalStateException} from now on, but for their {@code close}, which does nothing
     * more. A second call does nothing, or closes what the first could not.
     *
     * @throws IllegalStateException as {@link MergeRegion#close()}; all other regions are closed then
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

    /** Its name and capacity. */
    @Override
    public String toString() {
        return (options.name().isEmpty() ? "" : options.name() + " ") + "of " + capacity + " bytes";
    }
}
