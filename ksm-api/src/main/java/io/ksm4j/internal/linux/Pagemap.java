// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import java.io.EOFException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;

/** Reads {@code /proc/PID/pagemap}, which has 64 bits for each page of the address space. Not thread-safe. */
public final class Pagemap implements AutoCloseable {

    /**
     * Set if any page, including the zero page, is mapped there. Unlike the page frame number, reading it needs no
     * privilege.
     */
    private static final long PRESENT = 1L << 63;

    /**
     * Set if only this process maps the page, and only once (Linux 4.2 and later). A page that {@code ksmd} has merged
     * is mapped several times; so are pages of a child process that has not called {@code execve} yet.
     */
    private static final long EXCLUSIVE = 1L << 56;

    /** How many pages {@link #read} can read at once. */
    public static final int MAX_PAGES = 8192;

    private final RandomAccessFile file;
    private final long pageSize;
    private final ByteBuffer entries =
            ByteBuffer.allocate(MAX_PAGES * Long.BYTES).order(ByteOrder.nativeOrder());

    public Pagemap(Path path, long pageSize) throws IOException {
        this.file = new RandomAccessFile(path.toFile(), "r");
        this.pageSize = pageSize;
    }

    /** Returns the size in bytes of the pages that are present between two addresses on page boundaries. */
    public long presentBytes(long from, long to) throws IOException {
        long present = 0;
        file.seek(from / pageSize * Long.BYTES);
        for (long left = (to - from) / pageSize * Long.BYTES; left > 0; ) {
            int read = file.read(entries.array(), 0, (int) Math.min(left, entries.capacity()));
            if (read <= 0 || read % Long.BYTES != 0) {
                throw new EOFException("the entries end within a mapping");
            }
            for (int at = 0; at < read; at += Long.BYTES) {
                if ((entries.getLong(at) & PRESENT) != 0) {
                    present += pageSize;
                }
            }
            left -= read;
        }
        return present;
    }

    /**
     * Reads which pages are present, and which of them are merged.
     *
     * @param from the address of the first page
     * @param pages how many pages to read, at most {@link #MAX_PAGES}
     * @param present gets one bit for each page, beginning at bit 0
     * @param merged as well
     */
    public void read(long from, int pages, long[] present, long[] merged) throws IOException {
        file.seek(from / pageSize * Long.BYTES);
        file.readFully(entries.array(), 0, pages * Long.BYTES);
        Arrays.fill(present, 0);
        Arrays.fill(merged, 0);
        for (int page = 0; page < pages; page++) {
            long entry = entries.getLong(page * Long.BYTES);
            if ((entry & PRESENT) != 0) {
                present[page / Long.SIZE] |= 1L << page;
                if ((entry & EXCLUSIVE) == 0) {
                    merged[page / Long.SIZE] |= 1L << page;
                }
            }
        }
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
