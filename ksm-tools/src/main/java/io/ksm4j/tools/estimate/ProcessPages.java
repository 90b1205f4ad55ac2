// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import com.dynatrace.hash4j.hashing.Hasher64;
import com.dynatrace.hash4j.hashing.Hashing;
import io.ksm4j.AddressRange;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.output.CommandFailedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Reads the pages of another process that {@code ksmd} could merge, through {@code /proc/PID/pagemap} and
 * {@code /proc/PID/mem}. Reads only pages that are in memory, while the process keeps running. For use by one thread,
 * which reads with the help of others.
 */
final class ProcessPages implements AutoCloseable {

    /** Receives pages by ascending addresses. */
    interface Visitor {
        /** Receives a page with this hash. */
        void page(long address, long hash);

        /** Receives a page whose frame was already visited, in another process or another mapping. */
        default void sharedPage() {}
    }

    /** Pages that were not visited. */
    static final class Tally {
        /** Pages on swap, where {@code ksmd} leaves them. */
        long swapped;

        /** Pages that were gone or unreadable when they were to be read. */
        long unread;

        /** Whether the process ended before its last page was read. */
        boolean ended;
    }

    /** Bits of pagemap (linux/Documentation/admin-guide/mm/pagemap.rst). */
    private static final long PRESENT = 1L << 63;

    private static final long SWAPPED = 1L << 62;
    private static final long OF_FILE = 1L << 61;

    /** A guard (MADV_GUARD_INSTALL), which pagemap also calls swapped. */
    private static final long GUARD = 1L << 58;

    private static final long EXCLUSIVE = 1L << 56;
    private static final long FRAME = (1L << 55) - 1;

    private static final Hasher64 HASHER = Hashing.xxh3_64();

    /** Small enough for a processor's cache, because pages are hashed right after they are read. */
    private static final int READ_BYTES = 64 << 10;

    private static final int ENTRIES = 8192;

    /** More readers would not help, because memory bandwidth is the limit, and other programs need processors too. */
    private static final int MAX_READERS = 4;

    /** A smaller number of pages is read before another thread has started. */
    private static final int MIN_PARALLEL_PAGES = 256;

    private final FileChannel pagemap;
    private final FileChannel memory;
    private final Optional<PageScan> scan;
    private final int pageSize;
    private final PageFrames frames;
    private final ReadProgress progress;

    private final ByteBuffer entries =
            ByteBuffer.allocateDirect(ENTRIES * Long.BYTES).order(ByteOrder.nativeOrder());

    /** The entries whose pages are to be read. */
    private final BitSet wanted = new BitSet(ENTRIES);

    /** The entries whose pages have been read. */
    private final boolean[] known = new boolean[ENTRIES];

    private final long[] hashes = new long[ENTRIES];

    private final List<Reader> readers = new ArrayList<>();

    /**
     * Opens the files of a process.
     *
     * @param kernel finds the pages in a large address space faster, where the kernel can do that
     * @throws IOException if the process has ended, or this user may not read its memory
     */
    @SuppressWarnings("resource") // Closed by close.
    ProcessPages(Path process, int pageSize, Optional<KsmBackend> kernel, PageFrames frames, ReadProgress progress)
            throws IOException {
        this.pageSize = pageSize;
        this.frames = frames;
        this.progress = progress;
        for (int i = Math.min(Runtime.getRuntime().availableProcessors(), MAX_READERS); i > 0; i--) {
            readers.add(new Reader());
        }
        memory = FileChannel.open(process.resolve("mem"));
        try {
            pagemap = FileChannel.open(process.resolve("pagemap"));
        } catch (IOException e) {
            memory.close();
            throw e;
        }
        scan = kernel.flatMap(backend -> PageScan.open(backend, process.resolve("pagemap"), pageSize));
    }

    /** Returns the hash of a zero-filled page. */
    static long hashOfZeros(int pageSize) {
        return hash(new byte[pageSize], 0, pageSize);
    }

    private static long hash(byte[] bytes, int from, int length) {
        return HASHER.hashBytesToLong(bytes, from, length);
    }

    /**
     * Visits all pages of these mappings.
     *
     * @throws CommandFailedException if the kernel hides page frame numbers from this user
     * @throws IOException if the kernel's files on page frames cannot be read
     */
    Tally visit(List<PrivateMapping> mappings, Visitor visitor) throws IOException {
        Tally tally = new Tally();
        for (PrivateMapping mapping : mappings) {
            long at = mapping.start();
            while (at < mapping.end() && !tally.ended) {
                PageScan.Found found = find(at, mapping.end());
                for (AddressRange range : found.ranges()) {
                    visit(range, visitor, tally);
                }
                at = found.end();
            }
        }
        return tally;
    }

    /** Finds pages from an address on. */
    private PageScan.Found find(long start, long end) {
        PageScan.Found found = scan.flatMap(pages -> pages.next(start, end))
                .orElseGet(() -> new PageScan.Found(List.of(new AddressRange(start, end - start)), end));
        // Reading one entry shows whether the process has ended.
        return found.ranges().isEmpty()
                ? new PageScan.Found(List.of(new AddressRange(start, pageSize)), found.end())
                : found;
    }

    private void visit(AddressRange range, Visitor visitor, Tally tally) throws IOException {
        for (long at = range.start(); at < range.end() && !tally.ended; at += (long) ENTRIES * pageSize) {
            visit(at, (int) Math.min((range.end() - at) / pageSize, ENTRIES), visitor, tally);
        }
    }

    private void visit(long start, int count, Visitor visitor, Tally tally) throws IOException {
        entries.clear().limit(count * Long.BYTES);
        int told = read(pagemap, entries, start / pageSize * Long.BYTES) / Long.BYTES;
        tally.ended = told < count;
        wanted.clear();
        for (int i = 0; i < told; i++) {
            wanted.set(i, isToBeRead(entries.getLong(i * Long.BYTES), visitor, tally));
        }
        read(start, told);
        tally.ended |= readers.stream().anyMatch(reader -> reader.ended);
        for (int i = wanted.nextSetBit(0); i >= 0; i = wanted.nextSetBit(i + 1)) {
            if (known[i]) {
                visitor.page(start + (long) i * pageSize, hashes[i]);
                progress.add(pageSize);
            } else {
                tally.unread += tally.ended ? 0 : 1;
                progress.skip(pageSize);
            }
        }
    }

    private boolean isToBeRead(long entry, Visitor visitor, Tally tally) throws IOException {
        if ((entry & PRESENT) == 0) {
            tally.swapped += (entry & (SWAPPED | GUARD)) == SWAPPED ? 1 : 0;
            return false;
        }
        if ((entry & OF_FILE) != 0) {
            return false; // Not written yet, or the huge zero page.
        }
        if ((entry & EXCLUSIVE) != 0) {
            return true;
        }
        long frame = entry & FRAME;
        if (frame == 0) {
            throw new CommandFailedException("the kernel hides which pages are shared: run as root (CAP_SYS_ADMIN)");
        }
        if (frames.isZeroPage(frame)) {
            return false;
        }
        if (frames.add(frame)) {
            return true;
        }
        visitor.sharedPage();
        progress.skip(pageSize);
        return false;
    }

    /** Computes the hashes of the wanted pages. */
    private void read(long start, int count) {
        Arrays.fill(known, 0, count, false);
        int parts = wanted.cardinality() < MIN_PARALLEL_PAGES ? 1 : readers.size();
        IntStream.range(0, parts)
                .parallel()
                .forEach(i -> readers.get(i).read(start, count * i / parts, count * (i + 1) / parts));
    }

    /** Has its own buffers, so several can read at the same time. */
    private final class Reader {

        /** Hashing an array is so much faster than hashing a direct buffer that copying pays. */
        private final byte[] copy = new byte[Math.max(1, READ_BYTES / pageSize) * pageSize];

        private final ByteBuffer bytes = ByteBuffer.allocateDirect(copy.length);

        private boolean ended;

        void read(long start, int from, int to) {
            int at = wanted.nextSetBit(from);
            while (at >= 0 && at < to && !ended) {
                int run = Math.min(wanted.nextClearBit(at), to) - at;
                int pages = read(start + (long) at * pageSize, run);
                for (int i = 0; i < pages; i++) {
                    hashes[at + i] = hash(copy, i * pageSize, pageSize);
                    known[at + i] = true;
                }
                // If nothing could be read, the first page is the cause.
                at = wanted.nextSetBit(at + Math.max(pages, 1));
            }
        }

        /** Returns the number of complete pages that could be read at once. */
        private int read(long address, int pages) {
            bytes.clear().limit(Math.min(copy.length, pages * pageSize));
            try {
                int read = ProcessPages.read(memory, bytes, address);
                // The file ends if the process has ended.
                ended = read == 0;
                bytes.get(0, copy, 0, read);
                return read / pageSize;
            } catch (IOException e) {
                return 0;
            }
        }
    }

    /** Reads as many bytes as there are, up to the buffer's limit. */
    private static int read(FileChannel file, ByteBuffer buffer, long position) throws IOException {
        return Math.max(file.read(buffer, position), 0);
    }

    @Override
    public void close() throws IOException {
        try (memory;
                pagemap) {
            scan.ifPresent(PageScan::close);
        }
    }
}
