// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.MergeRegion;
import io.ksm4j.internal.Backoff;
import java.nio.ByteBuffer;
import java.util.Arrays;
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

    /** A power of two. Larger groups take more heap memory for few pages; smaller ones for many. */
    private static final int GROUP_PAGES = 512;

    final MergeRegion region;

    /** The whole region. Accessed only with absolute positions, so that threads can share it. */
    final ByteBuffer memory;

    private final PoolSettings settings;
    private final int pageSize;
    private final int pages;
    private final ReentrantLock lock = new ReentrantLock();

    /** One bit for each page. */
    private final long[] clean;

    private final long[] retained;
    private int cleanPages;
    private int retainedPages;
    private int preparedPages;
    private int cleanCursor;
    private int retainedCursor;

    /**
     * What is known of pages, by {@link #GROUP_PAGES} of them; empty if nothing is. Elements are set once, while
     * holding the lock, and may be read without it: an array whose reference is read through a data race has its length
     * and its zeros.
     */
    private final @Nullable Group[] groups;

    /** What is known of adjacent pages. */
    private static final class Group {

        /** The number of blocks that use the page, if it is in an index. Guarded by the lock of the page's stripe. */
        private final int[] references;

        /** The hash of the page, if it is in an index. */
        private final int[] hashes;

        /** The slots of the page, if it is divided. */
        private final Slots.@Nullable Slab[] slabs;

        Group(PoolSettings settings) {
            references = new int[settings.hash() == null ? 0 : GROUP_PAGES];
            hashes = new int[references.length];
            slabs = new Slots.Slab[settings.isPacked() ? GROUP_PAGES : 0];
        }
    }

    private PageRegion(
            MergeRegion region, PoolSettings settings, long[] clean, long[] retained, @Nullable Group[] groups) {
        this.region = region;
        this.memory = region.buffer();
        this.settings = settings;
        this.pageSize = settings.pageSize();
        this.pages = (int) (region.size() / pageSize);
        this.clean = clean;
        this.retained = retained;
        this.groups = groups;
        this.cleanPages = pages;
        Arrays.fill(clean, -1L);
        clean[clean.length - 1] >>>= -pages;
    }

    static PageRegion map(PoolSettings settings, long bytes) {
        int pageSize = settings.pageSize();
        int pages = (int) (bytes / pageSize);
        int words = (pages + Long.SIZE - 1) / Long.SIZE;
        // Allocated first, so that running out of heap memory leaves no region behind.
        long[] clean = new long[words];
        long[] retained = new long[words];
        boolean hasGroups = settings.hash() != null || settings.isPacked();
        @Nullable Group[] groups = new Group[hasGroups ? (pages + GROUP_PAGES - 1) / GROUP_PAGES : 0];
        MergeRegion region = settings.ksm().allocate(bytes, settings.options());
        try {
            return new PageRegion(region, settings, clean, retained, groups);
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

    /** Makes room for what will be known of a page that has been taken, or throws. */
    void prepare(int page) {
        int number = page / GROUP_PAGES;
        if (groups.length == 0 || groups[number] != null) {
            return;
        }
        lock.lock();
        try {
            if (groups[number] == null) {
                groups[number] = new Group(settings);
                preparedPages += GROUP_PAGES;
            }
        } finally {
            lock.unlock();
        }
    }

    private Group group(int page) {
        Group group = groups[page / GROUP_PAGES];
        if (group == null) {
            throw new IllegalStateException("page " + page + " was not taken");
        }
        return group;
    }

    int references(int page) {
        return group(page).references[page % GROUP_PAGES];
    }

    void setReferences(int page, int references) {
        group(page).references[page % GROUP_PAGES] = references;
    }

    int hash(int page) {
        return group(page).hashes[page % GROUP_PAGES];
    }

    void setHash(int page, int hash) {
        group(page).hashes[page % GROUP_PAGES] = hash;
    }

    /** Returns the slots of a page that is divided. */
    Slots.Slab slab(int page) {
        Slots.Slab slab = group(page).slabs[page % GROUP_PAGES];
        if (slab == null) {
            throw new IllegalStateException("page " + page + " has no slots");
        }
        return slab;
    }

    void setSlab(int page, Slots.@Nullable Slab slab) {
        group(page).slabs[page % GROUP_PAGES] = slab;
    }

    /** {@return the heap memory of references and hashes, in bytes} */
    long indexedBytes() {
        lock.lock();
        try {
            return settings.hash() == null ? 0 : preparedPages * 2L * Integer.BYTES;
        } finally {
            lock.unlock();
        }
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
