package io.ksm4j.pool;

import io.ksm4j.KsmException;
import io.ksm4j.MergeRegion;
import java.nio.ByteBuffer;
import java.util.concurrent.locks.ReentrantLock;

/** One region of a pool, and which of its pages are free. */
final class Chunk {

    final MergeRegion region;

    /** All of the region. Used with absolute positions only, so threads can have it in common. */
    final ByteBuffer memory;

    private final int pageSize;
    private final FreePages pages;
    private final ReentrantLock lock = new ReentrantLock();

    Chunk(MergeRegion region, int pageSize) {
        this.region = region;
        this.memory = region.buffer();
        this.pageSize = pageSize;
        this.pages = new FreePages((int) (region.size() / pageSize));
    }

    /** As {@link #take}, or {@link FreePages#NONE} if another thread is at it. */
    int tryTake(int count) {
        if (!lock.tryLock()) {
            return FreePages.NONE;
        }
        try {
            return pages.take(count);
        } finally {
            lock.unlock();
        }
    }

    /** The first of so many pages in a row, which hold zeros; {@link FreePages#NONE} if there are none. */
    int take(int count) {
        lock.lock();
        try {
            return pages.take(count);
        } finally {
            lock.unlock();
        }
    }

    /** Pages are given to the kernel first, so that whoever takes them next finds zeros. */
    void giveBack(int first, int count) {
        int start = first * pageSize;
        try {
            region.discard(start, (long) count * pageSize);
        } catch (KsmException e) {
            // Locked memory, before Linux 5.18: it stays resident, but nobody may see old bytes.
            byte[] zeros = new byte[pageSize];
            for (int page = 0; page < count; page++) {
                memory.put(start + page * pageSize, zeros);
            }
        }
        lock.lock();
        try {
            pages.giveBack(first, count);
        } finally {
            lock.unlock();
        }
    }
}
