// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.AddressRange;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.output.CommandFailedException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Reads the pages of another process that {@code ksmd} could merge, through {@code /proc/PID/pagemap} and
 * {@code /proc/PID/mem}. Reads only pages that are in memory, while the process keeps running. For use by one thread,
 * which reads with the help of others.
 */
final class ProcessPages implements AutoCloseable {

    /** Receives pages in any order, one at a time. */
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

    /** Small enough for a processor's cache, because pages are hashed right after they are read. */
    private static final int READ_BYTES = 256 << 10;

    /** The number of pages that a thread takes at once. */
    private static final int WINDOW = 1024;

    /** More readers would not help, because memory bandwidth is the limit, and other programs need processors too. */
    private static final int MAX_READERS = 4;

    private final FileChannel pagemap;
    private final FileChannel memory;
    private final Optional<PageScan> scan;
    private final int pageSize;
    private final PageFrames frames;
    private final ReadProgress progress;

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
        return new PageHash().of(ByteBuffer.allocate(pageSize), 0, pageSize);
    }

    /**
     * Visits all pages of these mappings.
     *
     * @throws CommandFailedException if the kernel hides page frame numbers from this user
     * @throws IOException if the kernel's files on page frames cannot be read
     */
    Tally visit(List<PrivateMapping> mappings, Visitor visitor) throws IOException {
        Visit visit = new Visit(mappings.iterator(), visitor);
        int readers = Math.min(Runtime.getRuntime().availableProcessors(), MAX_READERS);
        try {
            IntStream.range(0, readers).parallel().forEach(i -> new Reader(visit).run());
        } catch (UncheckedIOException e) {
            throw e.getCause();
        } finally {
            // If one reader has failed, others may still be running.
            visit.stop();
        }
        return visit.tally;
    }

    /** What the readers have in common: where they are, and what they have found. Safe for use by multiple threads. */
    private final class Visit {

        private final Iterator<PrivateMapping> mappings;
        private final Visitor visitor;
        private final Tally tally = new Tally();
        private boolean stopped;

        /** The part of the current mapping in which no pages have been looked for. */
        private long start;

        private long end;

        /** Where pages were found. */
        private Iterator<AddressRange> ranges = Collections.emptyIterator();

        /** The part of the current range that no reader has taken. */
        private long rangeStart;

        private long rangeEnd;

        Visit(Iterator<PrivateMapping> mappings, Visitor visitor) {
            this.mappings = mappings;
            this.visitor = visitor;
        }

        /** Returns the next window to read; empty if there is none. */
        synchronized Optional<AddressRange> next() {
            while (!stopped && !tally.ended) {
                if (rangeStart < rangeEnd) {
                    long length = Math.min(rangeEnd - rangeStart, (long) WINDOW * pageSize);
                    AddressRange window = new AddressRange(rangeStart, length);
                    rangeStart += length;
                    return Optional.of(window);
                }
                if (ranges.hasNext()) {
                    AddressRange range = ranges.next();
                    rangeStart = range.start();
                    rangeEnd = range.end();
                } else if (start < end) {
                    PageScan.Found found = find(start, end);
                    ranges = found.ranges().iterator();
                    start = found.end();
                } else if (mappings.hasNext()) {
                    PrivateMapping mapping = mappings.next();
                    start = mapping.start();
                    end = mapping.end();
                } else {
                    break;
                }
            }
            return Optional.empty();
        }

        /** Adds what a reader has found in its window. */
        synchronized void add(Reader reader) {
            if (stopped) {
                return;
            }
            tally.ended |= reader.ended;
            tally.swapped += reader.swapped;
            for (int i = 0; i < reader.knownCount; i++) {
                visitor.page(reader.known[i], reader.hashes[i]);
            }
            for (int i = 0; i < reader.shared; i++) {
                visitor.sharedPage();
            }
            int unread = reader.wantedCount - reader.knownCount;
            tally.unread += tally.ended ? 0 : unread;
            progress.add((long) reader.knownCount * pageSize);
            progress.skip((long) (unread + reader.shared) * pageSize);
        }

        synchronized void stop() {
            stopped = true;
        }
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

    /**
     * Reads one window after the other. For use by one thread. Its loops are in methods of their own, because the JIT
     * compiler would take longer for a large method than reading a gigabyte takes.
     */
    private final class Reader {

        private final Visit visit;

        private final ByteBuffer entryBytes =
                ByteBuffer.allocateDirect(WINDOW * Long.BYTES).order(ByteOrder.nativeOrder());

        private final LongBuffer entryWords = entryBytes.asLongBuffer();

        private final long[] entries = new long[WINDOW];

        private final ByteBuffer bytes = ByteBuffer.allocateDirect(Math.max(1, READ_BYTES / pageSize) * pageSize);

        private final PageHash pageHash = new PageHash();

        /** The addresses of the pages that are to be read in the current window. */
        private final long[] wanted = new long[WINDOW];

        private int wantedCount;

        /** The addresses of those that have been read. */
        private final long[] known = new long[WINDOW];

        private final long[] hashes = new long[WINDOW];
        private int knownCount;

        private int swapped;
        private int shared;
        private boolean ended;

        Reader(Visit visit) {
            this.visit = visit;
        }

        void run() {
            boolean hasFinished = false;
            try {
                for (Optional<AddressRange> next = visit.next(); next.isPresent(); next = visit.next()) {
                    select(next.get());
                    read();
                    visit.add(this);
                }
                hasFinished = true;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } finally {
                if (!hasFinished) {
                    visit.stop();
                }
            }
        }

        private void select(AddressRange window) throws IOException {
            int count = (int) (window.length() / pageSize);
            entryBytes.clear().limit(count * Long.BYTES);
            int told = ProcessPages.read(pagemap, entryBytes, window.start() / pageSize * Long.BYTES) / Long.BYTES;
            entryWords.get(0, entries, 0, told);
            ended = told < count;
            wantedCount = 0;
            swapped = 0;
            shared = 0;
            for (int i = 0; i < told; i++) {
                if (entries[i] != 0 && isToBeRead(entries[i])) {
                    wanted[wantedCount++] = window.start() + (long) i * pageSize;
                }
            }
        }

        private void read() {
            knownCount = 0;
            int at = 0;
            while (at < wantedCount && !ended) {
                int pages = read(wanted[at], run(at));
                hash(at, pages);
                // If nothing could be read, the first page is the cause.
                at += Math.max(pages, 1);
            }
        }

        /** Returns how many of the wanted pages follow each other from one on; at most as many as are read at once. */
        private int run(int first) {
            int end = Math.min(wantedCount, first + bytes.capacity() / pageSize);
            int at = first + 1;
            while (at < end && wanted[at] == wanted[at - 1] + pageSize) {
                at++;
            }
            return at - first;
        }

        private void hash(int first, int pages) {
            for (int i = 0; i < pages; i++) {
                known[knownCount] = wanted[first + i];
                hashes[knownCount++] = pageHash.of(bytes, i * pageSize, pageSize);
            }
        }

        private boolean isToBeRead(long entry) throws IOException {
            if ((entry & PRESENT) == 0) {
                swapped += (entry & (SWAPPED | GUARD)) == SWAPPED ? 1 : 0;
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
                throw new CommandFailedException(
                        "the kernel hides which pages are shared: run as root (CAP_SYS_ADMIN)");
            }
            synchronized (frames) {
                if (frames.isZeroPage(frame)) {
                    return false;
                }
                if (frames.add(frame)) {
                    return true;
                }
            }
            shared++;
            return false;
        }

        /** Returns the number of complete pages that could be read at once. */
        private int read(long address, int pages) {
            bytes.clear().limit(pages * pageSize);
            try {
                int read = ProcessPages.read(memory, bytes, address);
                // The file ends if the process has ended.
                ended |= read == 0;
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
