// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;

/**
 * Recognizes memory that glibc's {@code malloc} has mapped for a single large request (mallopt(3),
 * {@code M_MMAP_THRESHOLD}) by the header at its start:
 *
 * <pre>
 *        0                    8                            16
 *        +--------------------+----------------------+-+-+-+--------
 *        | size of the chunk  | length of the        |A|M|P| data
 *        | before: 0          | mapping, whole pages |0|1|0|
 *        +--------------------+----------------------+-+-+-+--------
 *                                                       IS_MMAPPED
 * </pre>
 *
 * <p>The kernel joins adjacent mappings, so a mapping may contain several chunks, one behind the other. Not
 * thread-safe.
 */
public final class MallocChunks implements AutoCloseable {

    /** What glibc reserves for a heap, at a multiple of this length (HEAP_MAX_SIZE). */
    static final long HEAP = 64 << 20;

    private static final long FLAGS = 7;
    private static final long IS_MMAPPED = 2;

    /** Not a channel: reading one in an interrupted thread would close it. */
    private final RandomAccessFile memory;

    private final long pageSize;
    private final ByteBuffer header = ByteBuffer.allocate(32).order(ByteOrder.nativeOrder());

    /**
     * Opens the memory of a process.
     *
     * @param mem {@code /proc/PID/mem}
     * @throws IOException if this process may not read it
     */
    public MallocChunks(Path mem, long pageSize) throws IOException {
        this.memory = new RandomAccessFile(mem.toFile(), "r");
        this.pageSize = pageSize;
    }

    /**
     * Returns the length of the chunk that starts at an address.
     *
     * @param address the start of a page
     * @param end the end of the memory that may belong to the chunk
     * @return bytes, a multiple of the page size; 0 if no chunk starts there
     */
    public long lengthAt(long address, long end) {
        if (!read(address)) {
            return 0;
        }
        long before = header.getLong(0);
        long length = header.getLong(8) & ~FLAGS;
        boolean isMapped = (header.getLong(8) & FLAGS) == IS_MMAPPED;
        return before == 0 && isMapped && length > 0 && length % pageSize == 0 && length <= end - address ? length : 0;
    }

    /**
     * {@return whether a heap of {@code malloc} for small requests starts at an address} It begins with the addresses
     * of its arena and of the heap before, its size, and how much of it is accessible. The first heap of an arena
     * contains the arena.
     */
    boolean isHeapAt(long address) {
        if (!read(address)) {
            return false;
        }
        long arena = header.getLong(0);
        long before = header.getLong(8);
        long size = header.getLong(16);
        long accessible = header.getLong(24);
        return (before == 0 ? arena > address && arena < address + pageSize : arena > 0 && before % HEAP == 0)
                && size > 0
                && size % pageSize == 0
                && size <= accessible
                && accessible <= HEAP;
    }

    private boolean read(long address) {
        try {
            memory.seek(address);
            return memory.read(header.array()) == header.capacity();
        } catch (IOException e) {
            // The memory was unmapped in the meantime.
            return false;
        }
    }

    @Override
    public void close() throws IOException {
        memory.close();
    }
}
