package io.ksm4j.internal.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;

/** The size of a page, found without native code: the kernel tells it to every process it starts (getauxval(3)). */
public final class PageSize {

    /** 0 until it is found. */
    private static volatile long ofThisMachine;

    private static final long AT_PAGESZ = 6;

    private PageSize() {}

    /** Bytes; 0 where it cannot be found: no Linux, or no {@code /proc}. It may be found later, if only a descriptor was missing. */
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
            // As where the entry is missing.
        }
        return 0;
    }

    public static long require(long pageSize) {
        if (pageSize <= 0 || Long.bitCount(pageSize) != 1) {
            throw new IllegalArgumentException(pageSize + " is no page size: a power of two is");
        }
        return pageSize;
    }
}
