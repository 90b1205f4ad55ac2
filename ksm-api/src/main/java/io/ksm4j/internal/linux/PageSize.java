// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;

/** The page size, determined without native code: the kernel passes it to every process it starts (getauxval(3)). */
public final class PageSize {

    /** 0 until it has been determined. */
    private static volatile long ofThisMachine;

    private static final long AT_PAGESZ = 6;

    private PageSize() {}

    /**
     * Returns the page size in bytes; 0 if it cannot be determined, because this is not Linux or there is no
     * {@code /proc}. A later call may succeed if the process was only out of file descriptors.
     */
    public static long ofThisMachine() {
        long found = ofThisMachine;
        if (found == 0) {
            found = in(Path.of("/proc/self/auxv"));
            ofThisMachine = found;
        }
        return found;
    }

    private static long in(Path auxv) {
        try {
            ByteBuffer entries = ByteBuffer.wrap(Files.readAllBytes(auxv)).order(ByteOrder.nativeOrder());
            while (entries.remaining() >= 2 * Long.BYTES) {
                long type = entries.getLong();
                long value = entries.getLong();
                if (type == AT_PAGESZ) {
                    return value;
                }
            }
        } catch (IOException e) {
            // Handled like a missing entry.
        }
        return 0;
    }

    public static long require(long pageSize) {
        if (pageSize <= 0 || Long.bitCount(pageSize) != 1) {
            throw new IllegalArgumentException("invalid page size " + pageSize + ": must be a power of two");
        }
        return pageSize;
    }
}
