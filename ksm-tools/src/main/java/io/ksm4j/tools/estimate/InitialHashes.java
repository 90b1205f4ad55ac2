// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.tools.output.CommandFailedException;
import java.util.HashMap;
import java.util.Map;

/** The initial content of the pages of a process: a part of each hash, by address. For use by one thread. */
final class InitialHashes implements ProcessPages.Visitor {

    private static final int CHUNK_PAGES = 512;

    /** The approximate size of a chunk. */
    static final long CHUNK_BYTES = CHUNK_PAGES * Integer.BYTES + 100;

    private final long pageSize;
    private final long room;
    private final Map<Long, int[]> chunks = new HashMap<>();

    /** @param room the maximum size in bytes */
    InitialHashes(long pageSize, long room) {
        this.pageSize = pageSize;
        this.room = room;
    }

    /** @throws CommandFailedException if there is not enough room */
    @Override
    public void page(long address, long hash) {
        long page = address / pageSize;
        chunks.computeIfAbsent(page / CHUNK_PAGES, key -> newChunk())[indexOf(page)] = part(hash);
    }

    private int[] newChunk() {
        if (bytes() + CHUNK_BYTES > room) {
            throw new CommandFailedException("--stable needs more than half of --memory for the first read:"
                    + " raise --memory, and Java's heap (KSM_JAVA_OPTIONS=-Xmx8g) to twice that");
        }
        return new int[CHUNK_PAGES];
    }

    /** {@return whether the page existed and had this content} */
    boolean isSame(long address, long hash) {
        long page = address / pageSize;
        int[] chunk = chunks.get(page / CHUNK_PAGES);
        return chunk != null && chunk[indexOf(page)] == part(hash);
    }

    long bytes() {
        return chunks.size() * CHUNK_BYTES;
    }

    private static int indexOf(long page) {
        return (int) (page % CHUNK_PAGES);
    }

    /** Returns the upper half, because the content table selects by the lower bits. 0 stands for a missing page. */
    private static int part(long hash) {
        return (int) (hash >>> Integer.SIZE) | 1;
    }
}
