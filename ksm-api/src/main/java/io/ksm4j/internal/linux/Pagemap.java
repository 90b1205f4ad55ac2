// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import java.io.EOFException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;

/** Reads {@code /proc/PID/pagemap}, which has 64 bits for each page of the address space. Not thread-safe. */
public final class Pagemap implements AutoCloseable {

    /**
     * Set if any page, including the zero page, is mapped there. Unlike the page frame number, reading it needs no
     * privilege.
     */
    private static final long PRESENT = 1L << 63;

    private final RandomAccessFile file;
    private final long pageSize;
    private final ByteBuffer entries = ByteBuffer.allocate(64 << 10).order(ByteOrder.nativeOrder());

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

    @Override
    public void close() throws IOException {
        file.close();
    }
}
