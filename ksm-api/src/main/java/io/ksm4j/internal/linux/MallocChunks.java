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

    private static final long FLAGS = 7;
    private static final long IS_MMAPPED = 2;

    /** Not a channel: reading one in an interrupted thread would close it. */
    private final RandomAccessFile memory;

    private final long pageSize;
    private final ByteBuffer header = ByteBuffer.allocate(16).order(ByteOrder.nativeOrder());

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
        try {
            memory.seek(address);
            if (memory.read(header.array()) != header.capacity()) {
                return 0;
            }
        } catch (IOException e) {
            // The memory was unmapped in the meantime.
            return 0;
        }
        long before = header.getLong(0);
        long length = header.getLong(8) & ~FLAGS;
        boolean isMapped = (header.getLong(8) & FLAGS) == IS_MMAPPED;
        return before == 0 && isMapped && length > 0 && length % pageSize == 0 && length <= end - address ? length : 0;
    }

    @Override
    public void close() throws IOException {
        memory.close();
    }
}
