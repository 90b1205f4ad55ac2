// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import java.nio.ByteBuffer;
import java.util.concurrent.locks.ReentrantLock;

/** One region of a pool: which of its pages are free, and the totals of its blocks. */
final class Chunk {

    final MergePool pool;

    final MergeRegion region;

    /** The whole region. Accessed only with absolute positions, so that threads can share it. */
    final ByteBuffer memory;

    private final FreePages pages;
    private final byte[] zeros;
    private final ReentrantLock lock = new ReentrantLock();

    private long blocks;
    private long valueBytes;

    private Chunk(MergePool pool, MergeRegion region, FreePages pages, byte[] zeros) {
        this.pool = pool;
        this.region = region;
        this.memory = region.buffer();
        this.pages = pages;
        this.zeros = zeros;
    }

    static Chunk map(MergePool pool, Ksm ksm, long bytes, RegionOptions options) {
        // Allocated first, so that running out of heap memory leaves no region behind.
        FreePages pages = new FreePages((int) (bytes / pool.pageSize));
        byte[] zeros = new byte[pool.pageSize];
        MergeRegion region = ksm.allocate(bytes, options);
        try {
            return new Chunk(pool, region, pages, zeros);
        } catch (RuntimeException | Error e) {
            Failures.close(region, e);
            throw e;
        }
    }

    /** Like {@link #take}, but returns false at once if another thread holds the lock. */
    boolean tryTake(MergeBlock block) {
        if (!lock.tryLock()) {
            return false;
        }
        try {
            return takeLocked(block);
        } finally {
            lock.unlock();
        }
    }

    /** Gives a block the consecutive zero pages it needs; returns false if there is no such run. */
    boolean take(MergeBlock block) {
        lock.lock();
        try {
            return takeLocked(block);
        } finally {
            lock.unlock();
        }
    }

    private boolean takeLocked(MergeBlock block) {
        int count = block.pages();
        int first = count == 0 ? 0 : pages.take(count);
        if (first == FreePages.NONE) {
            return false;
        }
        block.chunk = this;
        block.firstPage = first;
        blocks++;
        valueBytes += block.size();
        return true;
    }

    /** Takes back the pages from {@link #take}. They are cleared first, so that the next block starts with zeros. */
    void giveBack(MergeBlock block) {
        int first = block.firstPage;
        int count = block.pages();
        if (count > 0) {
            clear(first * zeros.length, count);
        }
        lock.lock();
        try {
            if (count > 0) {
                pages.giveBack(first, count);
            }
            block.firstPage = FreePages.NONE;
            blocks--;
            valueBytes -= block.size();
        } finally {
            lock.unlock();
        }
    }

    private void clear(int start, int count) {
        try {
            region.discard(start, (long) count * zeros.length);
        } catch (RuntimeException | Error e) {
            // The memory is locked, before Linux 5.18, or the call failed for lack of heap or stack. The pages stay
            // resident.
            try {
                for (int page = 0; page < count && region.isOpen(); page++) {
                    memory.put(start + page * zeros.length, zeros);
                }
            } catch (IllegalStateException closed) {
                if (region.isOpen()) {
                    throw closed;
                }
            }
        }
    }

    long blocks() {
        lock.lock();
        try {
            return blocks;
        } finally {
            lock.unlock();
        }
    }

    long valueBytes() {
        lock.lock();
        try {
            return valueBytes;
        } finally {
            lock.unlock();
        }
    }
}
