// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.stats.RegionStats;
import java.nio.ByteBuffer;
import java.security.SecureRandom;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/**
 * A pool of off-heap blocks for values of which there are copies. In the layout {@link Layout#PAGES} equal values are
 * stored in equal pages: each block starts on a page boundary, the rest of its last page is zero, and its pages contain
 * nothing else.
 *
 * <pre>{@code
 * try (MergePool pool = MergePool.builder(Ksm.systemOrFallback(), 1L << 30)
 *         .deduplication(Deduplication.ON_STORE)
 *         .build()) {
 *     MergeBlock block = pool.store(bytes);
 *     byte[] copy = block.toByteArray();
 *     block.close();
 * }
 * }</pre>
 *
 * <p><b>Sharing.</b> With {@link Deduplication#ON_STORE}, a value that is stored shares the pages that the pool
 * contains already, page by page: two values that differ in one page share all others. Bytes are always compared, so no
 * two different pages are ever shared. It works at once, on any kernel, without privileges. In addition, the kernel's
 * {@code ksmd} merges the pages with those of other processes, if it runs. A {@link MergeDomain} restricts who shares.
 *
 * <p><b>Memory.</b> The blocks are placed in a few regions, so that many blocks need few mappings. The pool is bounded:
 * the pages of its blocks, each counted once and before the kernel merges them, never exceed its capacity. The pages of
 * closed blocks return to the kernel at once, or stay with the pool for the next blocks, up to a share of the capacity
 * ({@link Builder#retainedShare}). A new block never shows the bytes of an old one.
 *
 * <p>In the layout {@link Layout#PAGES} every block uses whole pages, so small values waste most of a page;
 * {@link Layout#PACKED} places them side by side, where the kernel does not merge them. {@code docs/pool.md} says which
 * to use for which values, with measurements.
 *
 * <p>Pools are safe for use by multiple threads. A block that is never closed keeps its pages until the pool is cleared
 * or closed.
 *
 * @since 0.1.0
 */
public final class MergePool implements AutoCloseable {

    /**
     * Settings of a pool. Not safe for use by multiple threads.
     *
     * @since 0.1.0
     */
    public static final class Builder {

        private final Ksm ksm;
        private final long capacityBytes;
        private RegionOptions options = RegionOptions.DEFAULT.withHugePages(HugePages.AVOID);
        private Deduplication deduplication = Deduplication.NONE;
        private MergeDomain domain = MergeDomain.everybody();
        private Layout layout = Layout.PAGES;
        private double retainedShare = 0.125;
        private IntFunction<ContentHash> hashes = pageSize -> new KeyedContentHash(pageSize, new SecureRandom());

        private Builder(Ksm ksm, long capacityBytes) {
            this.ksm = ksm;
            this.capacityBytes = capacityBytes;
        }

        /**
         * Sets the options of the regions; their name becomes the name of the pool. By default regions are marked
         * mergeable and use no huge pages, because those do not merge.
         *
         * @param options the options; {@code populate} must be false, because a pool's pages are created when they are
         *     written
         * @return this
         * @throws IllegalArgumentException if {@code options} would populate the regions
         */
        public Builder options(RegionOptions options) {
            if (options.populate()) {
                throw new IllegalArgumentException(
                        "the regions of a pool must not be populated: its pages are created when they are written");
            }
            this.options = options;
            return this;
        }

        /**
         * Sets when equal pages of the pool share memory. {@link Deduplication#NONE} by default.
         *
         * @param deduplication when
         * @return this
         */
        public Builder deduplication(Deduplication deduplication) {
            this.deduplication = Objects.requireNonNull(deduplication, "deduplication");
            return this;
        }

        /**
         * Sets with whom the pool may share pages. {@link MergeDomain#everybody()} by default.
         *
         * @param domain the domain, which may be closed once the pool is built
         * @return this
         */
        public Builder domain(MergeDomain domain) {
            this.domain = Objects.requireNonNull(domain, "domain");
            return this;
        }

        /**
         * Sets how values are placed. {@link Layout#PAGES} by default.
         *
         * @param layout the layout
         * @return this
         */
        public Builder layout(Layout layout) {
            this.layout = Objects.requireNonNull(layout, "layout");
            return this;
        }

        /**
         * Sets how many free pages stay with the pool for the next blocks. Taking such a page causes no page fault,
         * which takes longer than copying the bytes. What exceeds the maximum returns to the kernel in bulk, in a
         * thread of the pool's own, and all of it once the process could use less memory than it occupies. An eighth by
         * default.
         *
         * @param share the maximum as a share of the capacity: 0, for none, to 1
         * @return this
         * @throws IllegalArgumentException if the share is out of range
         */
        public Builder retainedShare(double share) {
            if (!(share >= 0 && share <= 1)) {
                throw new IllegalArgumentException("share " + share + " is not between 0 and 1");
            }
            this.retainedShare = share;
            return this;
        }

        /** For tests with pages that collide. */
        Builder hashes(IntFunction<ContentHash> hashes) {
            this.hashes = hashes;
            return this;
        }

        /**
         * Creates the pool.
         *
         * @return an empty pool
         * @throws IllegalArgumentException if the capacity is less than a page, or more than 2^31 - 1 pages, or more
         *     than 32 GiB in the layout {@link Layout#PACKED}
         * @throws IllegalStateException if the domain is closed
         * @throws KsmException as {@link Ksm#allocate(long, RegionOptions)}
         */
        public MergePool build() {
            long pageSize = ksm.pageSize();
            if (capacityBytes < pageSize) {
                throw new IllegalArgumentException(
                        "capacity " + capacityBytes + " is less than a page of " + pageSize + " bytes");
            }
            boolean isPacked = layout == Layout.PACKED;
            int maxPages = isPacked ? Slots.maxPages(Math.toIntExact(pageSize)) : Integer.MAX_VALUE;
            if (capacityBytes / pageSize > maxPages) {
                throw new IllegalArgumentException("capacity " + capacityBytes + " is more than " + maxPages
                        + " pages, the maximum of the layout " + layout);
            }
            RegionOptions marked = isPacked && options.marking() == Marking.MERGEABLE
                    ? options.withMarking(Marking.UNMERGEABLE)
                    : options;
            ContentHash hash = deduplication == Deduplication.ON_STORE ? hashes.apply(Math.toIntExact(pageSize)) : null;
            Pad pad = domain.pad(Math.toIntExact(pageSize));
            return new MergePool(new PoolSettings(ksm, capacityBytes, marked, hash, pad, isPacked, retainedShare));
        }
    }

    private final PoolSettings settings;

    /** The maximum size of a block. */
    private final long maxSize;

    /** Held while the store is replaced or closed. */
    private final ReentrantLock closing = new ReentrantLock();

    private volatile BlockStore store;

    private MergePool(PoolSettings settings) {
        this.settings = settings;
        this.maxSize =
                Math.min(settings.capacityBytes() / settings.pageSize() * settings.pageSize(), Pages.MAX_REGION_BYTES);
        this.store = new BlockStore(settings);
    }

    /**
     * Returns a builder of a pool.
     *
     * @param ksm allocates the regions
     * @param capacityBytes the maximum size of the pages of all blocks together, in bytes; at least a page
     * @return a builder
     */
    public static Builder builder(Ksm ksm, long capacityBytes) {
        return new Builder(ksm, capacityBytes);
    }

    /**
     * Creates a pool that does not deduplicate and retains no free pages. Its regions are marked mergeable and use no
     * huge pages, because those do not merge.
     *
     * @param ksm allocates the regions
     * @param capacityBytes the maximum size of all blocks together, in whole pages and before merging
     * @return an empty pool
     * @throws IllegalArgumentException as {@link Builder#build}
     * @throws KsmException as {@link Ksm#allocate(long, RegionOptions)}
     */
    public static MergePool create(Ksm ksm, long capacityBytes) {
        return builder(ksm, capacityBytes).retainedShare(0).build();
    }

    /**
     * Creates a pool that does not deduplicate and retains no free pages.
     *
     * @param ksm allocates the regions
     * @param capacityBytes the maximum size of all blocks together, in whole pages and before merging
     * @param options as {@link Builder#options}
     * @return an empty pool
     * @throws IllegalArgumentException as {@link Builder#build} and {@link Builder#options}
     * @throws KsmException as {@link Ksm#allocate(long, RegionOptions)}
     */
    public static MergePool create(Ksm ksm, long capacityBytes, RegionOptions options) {
        return builder(ksm, capacityBytes).options(options).retainedShare(0).build();
    }

    /**
     * Allocates a block of zeros that can be written. It shares no page with other blocks until it is sealed.
     *
     * @param size the size in bytes: 0 to the pool's capacity, and at most 1 GiB
     * @return an open block
     * @throws IllegalArgumentException if the size is out of range
     * @throws PoolExhaustedException if the block does not fit into the remaining capacity. Nothing has changed
     * @throws KsmException if the kernel has no memory or no mapping for another region. Nothing has changed
     * @throws IllegalStateException if the pool is closed
     */
    public MergeBlock allocate(int size) {
        requireSize(size);
        StackRoom.requireForBlock();
        BlockStore store = this.store;
        store.pages.requireOpen();
        return store.allocate(size);
    }

    /**
     * Stores a value. If the pool deduplicates, the block is sealed, and shares the pages that the pool contains
     * already.
     *
     * @param value the bytes from its position to its limit; afterwards its position equals its limit
     * @return an open block that contains the bytes
     * @throws IllegalArgumentException if the value is too large, as in {@link #allocate}
     * @throws PoolExhaustedException if the pages that the pool does not contain yet do not fit into the remaining
     *     capacity. Nothing has changed
     * @throws KsmException as {@link #allocate}
     * @throws IllegalStateException if the pool is closed
     */
    public MergeBlock store(ByteBuffer value) {
        requireSize(value.remaining());
        StackRoom.requireForBlock();
        BlockStore store = this.store;
        store.pages.requireOpen();
        MergeBlock block = store.store(value);
        value.position(value.limit());
        return block;
    }

    /**
     * Stores a value, as {@link #store(ByteBuffer)}.
     *
     * @param value the bytes
     * @return an open block that contains the bytes
     * @throws IllegalArgumentException if the value is too large, as in {@link #allocate}
     * @throws PoolExhaustedException as {@link #store(ByteBuffer)}
     * @throws KsmException as {@link #allocate}
     * @throws IllegalStateException if the pool is closed
     */
    public MergeBlock store(byte[] value) {
        return store(ByteBuffer.wrap(value));
    }

    private void requireSize(int size) {
        if (size < 0 || size > maxSize) {
            throw new IllegalArgumentException("a block of this pool has 0 to " + maxSize + " bytes, not " + size);
        }
    }

    /**
     * Closes all blocks at once and frees their memory. The time depends on the number of regions and on the memory,
     * not on the number of blocks. Blocks that other threads store at the same time are closed as well, or are stored
     * in the empty pool. For a moment the pool may occupy the memory of old and of new blocks.
     *
     * @throws IllegalStateException if the pool is closed; or as {@link MergeRegion#close()}, when the pool is empty
     *     nevertheless
     * @throws KsmException if the regions of the empty pool cannot be allocated, when nothing has changed; or as
     *     {@link MergeRegion#close()}, when the pool is empty nevertheless
     */
    public void clear() {
        StackRoom.requireForOpening();
        closing.lock();
        try {
            BlockStore old = store;
            old.pages.requireOpen();
            BlockStore empty = new BlockStore(settings);
            empty.previous = old;
            store = empty;
        } finally {
            closing.unlock();
        }
        throwIfFailed(closePrevious());
    }

    /** Returns the free pages that the pool retains to the kernel, at once. Has no effect on a closed pool. */
    public void trim() {
        StackRoom.requireForBlock();
        store.pages.trim();
    }

    /**
     * Returns what the pool contains. Works after close, too.
     *
     * @return the statistics
     */
    public PoolStats stats() {
        return store.stats();
    }

    /**
     * Returns {@link PoolStats#usedBytes}, which is one read of a variable. Works after close, too.
     *
     * @return bytes of whole pages
     */
    public long usedBytes() {
        return store.pages.usedBytes();
    }

    /**
     * Reads how much memory the pool's pages occupy, and how much {@code ksmd} saves, as the total over its regions.
     * The cost is that of {@link Ksm#stats(java.util.Collection)}.
     *
     * @return the statistics
     * @throws IllegalStateException if the pool is closed before or during the call
     * @throws KsmException as {@link Ksm#stats(java.util.Collection)}
     * @throws java.io.UncheckedIOException if {@code /proc} cannot be read
     */
    public RegionStats mergeStats() {
        BlockStore store = this.store;
        store.pages.requireOpen();
        return settings.ksm().stats(store.pages.regions()).values().stream()
                .reduce(RegionStats.NONE, RegionStats::plus);
    }

    /** {@return whether the pool is open; false as soon as {@link #close()} has begun} */
    public boolean isOpen() {
        return store.pages.isOpen();
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
        Throwable failed;
        closing.lock();
        try {
            failed = store.pages.close();
        } finally {
            closing.unlock();
        }
        Throwable alsoFailed = closePrevious();
        Pad pad = settings.pad();
        if (pad != null) {
            pad.clear();
            store.clearSecrets();
        }
        throwIfFailed(failed == null ? alsoFailed : failed);
    }

    /** Closes stores that were replaced, also those that could not be closed before; returns a failure, or null. */
    private @Nullable Throwable closePrevious() {
        closing.lock();
        try {
            BlockStore current = store;
            Throwable failed = null;
            for (BlockStore old = current.previous; old != null; old = old.previous) {
                Throwable failure = old.pages.close();
                old.clearSecrets();
                failed = failed == null ? failure : failed;
            }
            if (failed == null) {
                current.previous = null;
            }
            return failed;
        } finally {
            closing.unlock();
        }
    }

    /** For tests that look at the memory. */
    List<MergeRegion> regions() {
        return store.pages.regions();
    }

    private static void throwIfFailed(@Nullable Throwable failed) {
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
        return store.pages.toString();
    }
}
