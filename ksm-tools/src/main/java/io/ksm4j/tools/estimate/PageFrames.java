// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;

/** Page frames of the machine that several mappings share. For use by one thread. */
final class PageFrames implements AutoCloseable {

    /** A flag of a frame in {@code /proc/kpageflags} (linux/kernel-page-flags.h). */
    private static final long ZERO_PAGE = 1L << 24;

    private static final int CHUNK_BITS = 20;

    private final FileChannel flags;
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(Long.BYTES).order(ByteOrder.nativeOrder());

    /** The frames in chunks, because memory has gaps and a bit set starts at 0. */
    private final Map<Long, BitSet> seen = new HashMap<>();

    private final Map<Long, BitSet> zero = new HashMap<>();

    /** @throws IOException if this user may not read page flags */
    PageFrames() throws IOException {
        flags = FileChannel.open(Path.of("/proc/kpageflags"));
    }

    /** {@return whether this is the kernel's zero page} */
    boolean isZeroPage(long frame) throws IOException {
        if (contains(zero, frame)) {
            return true;
        }
        if (contains(seen, frame)) {
            return false;
        }
        buffer.clear();
        if (flags.read(buffer, frame * Long.BYTES) == Long.BYTES && (buffer.getLong(0) & ZERO_PAGE) != 0) {
            add(zero, frame);
            return true;
        }
        return false;
    }

    /**
     * Adds a frame.
     *
     * @return whether it is new
     */
    boolean add(long frame) {
        return add(seen, frame);
    }

    private static boolean contains(Map<Long, BitSet> set, long frame) {
        BitSet chunk = set.get(frame >>> CHUNK_BITS);
        return chunk != null && chunk.get(indexOf(frame));
    }

    private static boolean add(Map<Long, BitSet> set, long frame) {
        BitSet chunk = set.computeIfAbsent(frame >>> CHUNK_BITS, key -> new BitSet());
        boolean isNew = !chunk.get(indexOf(frame));
        chunk.set(indexOf(frame));
        return isNew;
    }

    private static int indexOf(long frame) {
        return (int) frame & (1 << CHUNK_BITS) - 1;
    }

    @Override
    public void close() throws IOException {
        flags.close();
    }
}
