// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.MergeRegion;
import io.ksm4j.internal.Backoff;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The pages of a pool in all its regions: takes free ones, up to the capacity, and gives them back. A page is named by
 * the number of its region and its number in the region, in one {@code int}.
 */
final class Pages {

    /** The maximum size of a region: a larger one would need more than one buffer. */
    static final long MAX_REGION_BYTES = 1L << 30;

    private static final long MIN_REGION_BYTES = 16L << 20;
    private static final int MAX_INITIAL_REGIONS = 32;

    final int pageSize;

    private final PoolSettings settings;
    private final long capacity;

    /** The number of low bits of a page that are its number in the region. */
    private final int regionBits;

    private final int maxRegions;

    /** Regions retain at most this many pages each. */
    private final int maxRetained;

    private final Trimmer trimmer = new Trimmer(this);
    private final AtomicLong usedPages = new AtomicLong();

    /** Held by the one thread that maps another region. Other threads wait for it. */
    private final ReentrantLock growing = new ReentrantLock();

    /** Replaced by a longer array to add a region; an array is never modified. */
    private volatile PageRegion[] regions;

    private volatile boolean open = true;

    Pages(PoolSettings settings) {
        this.settings = settings;
        this.pageSize = settings.pageSize();
        this.capacity = settings.capacityBytes() / pageSize * pageSize;
        // Two per processor keep contention low; the maximum keeps the number of mappings small.
        int initial = Math.min(2 * Runtime.getRuntime().availableProcessors(), MAX_INITIAL_REGIONS);
        long each = Math.max(MIN_REGION_BYTES, Math.min(capacity / initial, MAX_REGION_BYTES));
        long regionBytes = Long.highestOneBit(each);
        this.regionBits = Long.numberOfTrailingZeros(regionBytes / pageSize);
        this.maxRegions = (int) ((capacity + regionBytes - 1) / regionBytes);
        this.maxRetained = (int) (settings.retainedShare() * capacity / pageSize / maxRegions);
        PageRegion[] first = new PageRegion[(int) Math.max(1, Math.min(initial, capacity / regionBytes))];
        int made = 0;
        try {
            while (made < first.length) {
                first[made] = newRegion(made);
                made++;
            }
        } catch (RuntimeException | Error e) {
            for (int i = 0; i < made; i++) {
                Failures.close(first[i].region, e);
            }
            throw e;
        }
        this.regions = first;
    }

    private PageRegion newRegion(int number) {
        long regionBytes = (long) pageSize << regionBits;
        long bytes = Math.min(regionBytes, capacity - number * regionBytes);
        return PageRegion.map(settings, bytes);
    }

    PageRegion region(int page) {
        return regions[page >>> regionBits];
    }

    int indexInRegion(int page) {
        return page & ((1 << regionBits) - 1);
    }

    ByteBuffer memory(int page) {
        return region(page).memory;
    }

    /** Returns the position of a page in its memory. */
    int position(int page) {
        return indexInRegion(page) * pageSize;
    }

    /**
     * Takes free pages, or throws and takes none.
     *
     * @param into gets the pages at its beginning; those with old bytes have the bit {@link PageRegion#RETAINED}
     * @param count the number of pages
     */
    void take(int[] into, int count) {
        reserve(count);
        int taken = 0;
        boolean done = false;
        Backoff backoff = null;
        try {
            while (true) {
                PageRegion[] all = regions;
                // Threads start at different regions, and try all of them before waiting for one that is in use.
                int start = (int) ((Thread.currentThread().getId() * 0x9e3779b97f4a7c15L) >>> 33) % all.length;
                for (int i = 0; i < 2 * all.length && taken < count; i++) {
                    int number = (start + i) % all.length;
                    int end = i < all.length
                            ? all[number].tryTake(into, taken, count)
                            : all[number].take(into, taken, count);
                    for (; taken < end; taken++) {
                        into[taken] |= number << regionBits;
                    }
                }
                if (taken == count) {
                    for (int i = 0; i < count; i++) {
                        int page = into[i] & ~PageRegion.RETAINED;
                        region(page).prepare(indexInRegion(page));
                    }
                    done = true;
                    return;
                }
                if (all.length < maxRegions) {
                    grow(all);
                } else {
                    // The pages that were reserved are on their way back to the kernel.
                    requireOpen();
                    backoff = backoff == null ? new Backoff() : backoff;
                    backoff.pause();
                }
            }
        } finally {
            if (!done) {
                for (int i = 0; i < taken; i++) {
                    retainOrDiscard(into[i] & ~PageRegion.RETAINED, 1);
                }
                usedPages.addAndGet(-count);
            }
            if (backoff != null) {
                backoff.end();
            }
        }
    }

    private void reserve(int pages) {
        long maxPages = capacity / pageSize;
        long used;
        do {
            used = usedPages.get();
            if (used + pages > maxPages) {
                throw new PoolExhaustedException("pool " + this + " has no room for " + pages
                        + (pages == 1 ? " page" : " pages") + ": its blocks use " + used + " of " + maxPages
                        + "; close some, or create a larger pool");
            }
        } while (!usedPages.compareAndSet(used, used + pages));
    }

    /**
     * Adds a region. Reserving more address space is free, and the bound on pages still holds. Regions are never
     * removed: where buffers cannot be revoked, the addresses of closed regions would accumulate until the buffers are
     * collected.
     */
    private void grow(PageRegion[] known) {
        growing.lock();
        try {
            if (regions.length > known.length) {
                return;
            }
            PageRegion[] more = Arrays.copyOf(known, known.length + 1);
            PageRegion region = newRegion(known.length);
            more[known.length] = region;
            regions = more;
            if (!open) {
                // close() does not wait for this thread, and may have missed the new region.
                region.region.close();
            }
            requireOpen();
        } finally {
            growing.unlock();
        }
    }

    /** Gives back adjacent pages of one region. Cannot fail. */
    void giveBack(int first, int count) {
        boolean isTooMuch = retainOrDiscard(first, count);
        usedPages.addAndGet(-count);
        if (isTooMuch) {
            trimmer.start();
        } else if (maxRetained > 0) {
            trimmer.startIfNecessary();
        }
    }

    /** Returns whether the region retains more than its maximum now. */
    private boolean retainOrDiscard(int first, int count) {
        PageRegion region = region(first);
        if (maxRetained == 0 || !open) {
            region.discard(indexInRegion(first), count);
            return false;
        }
        return region.retain(indexInRegion(first), count) > maxRetained;
    }

    /** Gives retained pages back to the kernel, down to half of the maximum; so it is long until the next time. */
    void trimToHalf() {
        for (PageRegion region : regions) {
            if (region.retainedPages() > maxRetained) {
                region.trim(maxRetained / 2);
            }
        }
    }

    boolean retainsTooMuch() {
        for (PageRegion region : regions) {
            if (region.retainedPages() > maxRetained) {
                return true;
            }
        }
        return false;
    }

    void trim() {
        for (PageRegion region : regions) {
            region.trim(0);
        }
    }

    long retainedBytes() {
        long pages = 0;
        for (PageRegion region : regions) {
            pages += region.retainedPages();
        }
        return pages * pageSize;
    }

    long capacity() {
        return capacity;
    }

    long usedBytes() {
        return usedPages.get() * pageSize;
    }

    /** {@return the heap memory of what is known of indexed pages, in bytes} */
    long indexedBytes() {
        long bytes = 0;
        for (PageRegion region : regions) {
            bytes += region.indexedBytes();
        }
        return bytes;
    }

    List<MergeRegion> regions() {
        return Arrays.stream(regions).map(region -> region.region).toList();
    }

    boolean isOpen() {
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

    /** Closes all regions; returns the first failure, or null. */
    @Nullable
    Throwable close() {
        open = false;
        Throwable first = null;
        for (PageRegion region : regions) {
            first = Failures.close(region.region, first);
        }
        return first;
    }

    @Override
    public String toString() {
        String name = settings.options().name();
        return (name.isEmpty() ? "" : name + " ") + "of " + capacity + " bytes";
    }
}
