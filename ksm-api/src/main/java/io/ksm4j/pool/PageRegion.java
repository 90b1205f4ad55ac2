// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.MergeRegion;
import io.ksm4j.internal.Backoff;
import java.nio.ByteBuffer;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * One region of a pool, and which of its pages are free. A page is in one of three states:
 *
 * <pre>
 *                  take                      take
 *   clean ------------------&gt; taken &lt;------------------ retained
 *     ^                       |   |                      ^    |
 *     |  give back, discarded |   |       give back      |    |
 *     +-----------------------+   +----------------------+    |
 *     +-------------------------------------------------------+
 *                              trim
 * </pre>
 *
 * A clean page has no memory and reads as zeros. A retained page has memory that still contains old bytes; taking it
 * causes no page fault. Retained pages are taken first. Each search starts where the last one ended, so that pages that
 * are taken together are mostly adjacent.
 *
 * <p>Thread-safe. Giving back and trimming allocate nothing on the heap, not even while waiting for the lock, so they
 * cannot fail.
 */
final class PageRegion {

    /** In the result of {@link #take}: the page contains old bytes. */
    static final int RETAINED = 1 << 31;

    /** The maximum number of pages that are trimmed in one call of the kernel, during which they are unavailable. */
    private static final int MAX_RUN = 512;

    final MergeRegion region;

    /** The whole region. Accessed only with absolute positions, so that threads can share it. */
    final ByteBuffer memory;

    /** For pages in an index: the number of blocks that use the page. Guarded by the lock of the page's stripe. */
    final int[] references;

    /** For pages in an index: the hash of the page. */
    final int[] hashes;

    private final int pageSize;
    private final int pages;
    private final ReentrantLock lock = new ReentrantLock();

    /** One bit for each page. */
    private final long[] clean;

    private final long[] retained;
    private int cleanPages;
    private int retainedPages;
    private int cleanCursor;
    private int retainedCursor;

    /** For pages that are divided into slots. */
    final Slots.@Nullable Slab[] slabs;

    private PageRegion(
            MergeRegion region,
            int pageSize,
            long[] clean,
            long[] retained,
            int[] references,
            int[] hashes,
            Slots.@Nullable Slab[] slabs) {
        this.region = region;
        this.memory = region.buffer();
        this.pageSize = pageSize;
        this.pages = (int) (region.size() / pageSize);
        this.clean = clean;
        this.retained = retained;
        this.references = references;
        this.hashes = hashes;
        this.slabs = slabs;
        this.cleanPages = pages;
        set(clean, 0, pages);
    }

    static PageRegion map(PoolSettings settings, long bytes) {
        int pageSize = settings.pageSize();
        int pages = (int) (bytes / pageSize);
        int words = (pages + Long.SIZE - 1) / Long.SIZE;
        // Allocated first, so that running out of heap memory leaves no region behind.
        long[] clean = new long[words];
        long[] retained = new long[words];
        int[] references = new int[settings.hash() == null ? 0 : pages];
        int[] hashes = new int[settings.hash() == null ? 0 : pages];
        Slots.@Nullable Slab[] slabs = new Slots.Slab[settings.isPacked() ? pages : 0];
        MergeRegion region = settings.ksm().allocate(bytes, settings.options());
        try {
            return new PageRegion(region, pageSize, clean, retained, references, hashes, slabs);
        } catch (RuntimeException | Error e) {
            Failures.close(region, e);
            throw e;
        }
    }

    /** Like {@link #take}, but takes nothing if another thread holds the lock. */
    int tryTake(int[] into, int from, int to) {
        if (!lock.tryLock()) {
            return from;
        }
        try {
            return takeLocked(into, from, to);
        } finally {
            lock.unlock();
        }
    }

    /**
     * Takes free pages.
     *
     * @param into gets the pages; those with old bytes have the bit {@link #RETAINED}
     * @return the index after the last page that was taken: {@code to} if there were enough
     */
    int take(int[] into, int from, int to) {
        lock.lock();
        try {
            return takeLocked(into, from, to);
        } finally {
            lock.unlock();
        }
    }

    private int takeLocked(int[] into, int from, int to) {
        int at = from;
        while (at < to && retainedPages > 0) {
            int page = next(retained, retainedCursor);
            retained[page >>> 6] &= ~(1L << page);
            retainedPages--;
            retainedCursor = page;
            into[at++] = page | RETAINED;
        }
        while (at < to && cleanPages > 0) {
            int page = next(clean, cleanCursor);
            clean[page >>> 6] &= ~(1L << page);
            cleanPages--;
            cleanCursor = page;
            into[at++] = page;
        }
        return at;
    }

    /** Returns the first page of a set that is not empty, at or after a page, or else from the beginning. */
    private static int next(long[] set, int from) {
        int word = from >>> 6;
        long bits = set[word] & (-1L << from);
        while (bits == 0) {
            word = word + 1 == set.length ? 0 : word + 1;
            bits = set[word];
        }
        return (word << 6) + Long.numberOfTrailingZeros(bits);
    }

    /**
     * Gives back adjacent pages, which keep their memory.
     *
     * @return the number of pages that are retained now
     */
    int retain(int first, int count) {
        Backoff.spin(lock);
        try {
            set(retained, first, count);
            retainedPages += count;
            return retainedPages;
        } finally {
            lock.unlock();
        }
    }

    /** Gives back adjacent pages, and their memory to the kernel. If the kernel refuses, they are retained. */
    void discard(int first, int count) {
        boolean discarded = tryDiscard(first, count);
        Backoff.spin(lock);
        try {
            if (discarded) {
                set(clean, first, count);
                cleanPages += count;
            } else {
                set(retained, first, count);
                retainedPages += count;
            }
        } finally {
            lock.unlock();
        }
    }

    private boolean tryDiscard(int first, int count) {
        try {
            if (region.isOpen()) {
                region.discard((long) first * pageSize, (long) count * pageSize);
            }
            return true;
        } catch (RuntimeException | Error e) {
            // The memory is locked, before Linux 5.18, or the call failed for lack of heap or stack.
            return false;
        }
    }

    /** Discards retained pages, long runs first, until at most this many are left. */
    void trim(int keep) {
        for (int minRun = 16; minRun > 0; minRun -= 15) {
            int from = 0;
            while (from < pages) {
                Backoff.spin(lock);
                int first;
                int count;
                try {
                    if (retainedPages <= keep) {
                        return;
                    }
                    first = nextOrEnd(from);
                    count = run(first, Math.min(MAX_RUN, retainedPages - keep));
                    if (count >= minRun) {
                        clear(retained, first, count);
                        retainedPages -= count;
                    }
                } finally {
                    lock.unlock();
                }
                if (count >= minRun) {
                    discard(first, count);
                }
                from = first + Math.max(1, count);
            }
        }
    }

    private int nextOrEnd(int from) {
        for (int word = from >>> 6; word < retained.length; word++) {
            long bits = word == from >>> 6 ? retained[word] & (-1L << from) : retained[word];
            if (bits != 0) {
                return (word << 6) + Long.numberOfTrailingZeros(bits);
            }
        }
        return pages;
    }

    private int run(int first, int max) {
        int count = 0;
        while (count < max && first + count < pages && isSet(retained, first + count)) {
            count++;
        }
        return count;
    }

    int retainedPages() {
        lock.lock();
        try {
            return retainedPages;
        } finally {
            lock.unlock();
        }
    }

    private static boolean isSet(long[] set, int page) {
        return (set[page >>> 6] & (1L << page)) != 0;
    }

    private static void set(long[] set, int first, int count) {
        for (int page = first; page < first + count; page++) {
            set[page >>> 6] |= 1L << page;
        }
    }

    private static void clear(long[] set, int first, int count) {
        for (int page = first; page < first + count; page++) {
            set[page >>> 6] &= ~(1L << page);
        }
    }
}
