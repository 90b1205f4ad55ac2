package io.ksm4j.tools.estimate;

import io.ksm4j.tools.output.CommandFailedException;
import java.util.HashMap;
import java.util.Map;

/** What the pages of a process held at first: a part of each hash, by address. For one thread. */
final class InitialHashes implements ProcessPages.Visitor {

    private static final int CHUNK_PAGES = 512;

    /** What a chunk occupies, about. */
    static final long CHUNK_BYTES = CHUNK_PAGES * Integer.BYTES + 100;

    private final long pageSize;
    private final long room;
    private final Map<Long, int[]> chunks = new HashMap<>();

    /** @param room how many bytes it may occupy */
    InitialHashes(long pageSize, long room) {
        this.pageSize = pageSize;
        this.room = room;
    }

    /** @throws CommandFailedException if there is no room for it */
    @Override
    public void page(long address, long hash) {
        long page = address / pageSize;
        chunks.computeIfAbsent(page / CHUNK_PAGES, key -> newChunk())[indexOf(page)] = part(hash);
    }

    private int[] newChunk() {
        if (bytes() + CHUNK_BYTES > room) {
            throw new CommandFailedException("--stable takes more than half of --memory for what pages held at first:"
                    + " raise --memory, and Java's heap (KSM_JAVA_OPTIONS=-Xmx8g) to twice that");
        }
        return new int[CHUNK_PAGES];
    }

    /** Whether the page was there and had this content. */
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

    /** Of the end that the table of contents does not choose by; 0 is for pages that were not there. */
    private static int part(long hash) {
        return (int) (hash >>> Integer.SIZE) | 1;
    }
}
