// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;

/**
 * Chooses the memory of native libraries among the mappings of a JVM: private, anonymous, without a name, readable and
 * writable. The JVM's own memory looks the same, so two kinds are chosen, and what cannot be told apart is left out:
 *
 * <ul>
 *   <li>chunks that {@code malloc} has mapped for one request. The JVM itself requests few large ones: queues of the
 *       garbage collector's threads of 1 MiB, which are left out by their length
 *   <li>other memory that was mapped after a baseline was taken. The JVM reserves the memory of its heap, its collector
 *       and its code when it starts; what it maps later are stacks, which have an inaccessible page below them or may
 *       not have huge pages, heaps of {@code malloc}, which have a header too, and metaspace, which the JVM is asked
 *       for
 * </ul>
 */
public final class NativeMappings implements AutoCloseable {

    /** A queue of a thread of the garbage collector, without the header of the chunk. */
    private static final long COLLECTOR_QUEUE = 1 << 20;

    /** How much of a mapping is searched for chunks that do not begin at its start. */
    private static final long MAX_SEARCHED = 64 << 20;

    /** A range of addresses. */
    public record Range(long start, long end) {

        public long length() {
            return end - start;
        }

        boolean overlaps(Range other) {
            return start < other.end && other.start < end;
        }
    }

    /**
     * Private anonymous memory without a name. Mappings that differ only in marks and touch each other are one.
     *
     * @param behindInaccessible whether memory that cannot be accessed ends where this starts
     */
    record Area(Range range, boolean readWrite, boolean noHugePages, boolean behindInaccessible) {}

    /** The private anonymous memory of a process at one time. */
    public static final class Snapshot {
        private final List<Area> areas = new ArrayList<>();
        private final List<Range> mergeable = new ArrayList<>();

        /** Reads all mappings. */
        public static Snapshot read(Smaps mapping) throws IOException {
            Snapshot snapshot = new Snapshot();
            Area last = null;
            boolean wasAccessible = true;
            while (mapping.next()) {
                if (!mapping.privateAnonymous) {
                    continue;
                }
                // What was read before is skipped. The rest belongs to memory that may be in the baseline.
                long start = Math.max(mapping.start, mapping.previousEnd);
                boolean touches = last != null && last.range.end == start;
                if (touches && last.readWrite && mapping.readWrite && last.noHugePages == mapping.noHugePages) {
                    snapshot.areas.remove(snapshot.areas.size() - 1);
                    last = new Area(
                            new Range(last.range.start, mapping.end), true, last.noHugePages, last.behindInaccessible);
                } else {
                    last = new Area(
                            new Range(start, mapping.end),
                            mapping.readWrite,
                            mapping.noHugePages,
                            touches && !wasAccessible);
                }
                snapshot.areas.add(last);
                wasAccessible = mapping.accessible;
                if (mapping.mergeable) {
                    append(snapshot.mergeable, new Range(start, mapping.end));
                }
            }
            return snapshot;
        }

        /** {@return all private anonymous memory, in order of address} */
        public List<Range> anonymous() {
            List<Range> ranges = new ArrayList<>();
            areas.forEach(area -> append(ranges, area.range));
            return ranges;
        }

        /**
         * {@return whether a range looks as if a stack had been mapped there: part of it may not have huge pages, or
         * lies directly above inaccessible memory of the same range}
         */
        public boolean hasStackIn(Range range) {
            return areas.stream()
                    .filter(area -> area.range.overlaps(range))
                    .anyMatch(area -> area.noHugePages || (area.behindInaccessible && area.range.start > range.start));
        }

        /** {@return the memory that is marked mergeable, in order of address} */
        public List<Range> mergeable() {
            return mergeable;
        }
    }

    private final MallocChunks chunks;
    private final Pagemap pagemap;
    private final long pageSize;
    private final long minLength;

    /** Ranges that have been searched for chunks in vain. */
    private Set<Range> searched = new HashSet<>();

    /**
     * Opens the memory of a process.
     *
     * @param process {@code /proc/PID}
     * @param minLength the length in bytes from which memory is chosen
     * @throws IOException if this process may not read it
     */
    public NativeMappings(Path process, long pageSize, long minLength) throws IOException {
        this.chunks = new MallocChunks(process.resolve("mem"), pageSize);
        try {
            this.pagemap = new Pagemap(process.resolve("pagemap"), pageSize);
        } catch (IOException | RuntimeException | Error e) {
            chunks.close();
            throw e;
        }
        this.pageSize = pageSize;
        this.minLength = minLength;
    }

    /**
     * Returns the memory of native libraries, in order of address.
     *
     * @param known memory that is not looked at, in order of address
     * @param baseline memory that is left out unless it is a chunk of {@code malloc}, in order of address
     * @param jvmRanges asks for memory that the JVM has mapped since; only called if something depends on it
     */
    public List<Range> choose(
            Snapshot snapshot, List<Range> known, List<Range> baseline, Supplier<List<Range>> jvmRanges)
            throws IOException {
        List<Range> chosen = new ArrayList<>();
        List<Range> others = new ArrayList<>();
        Set<Range> searchedNow = new HashSet<>();
        for (Area area : snapshot.areas) {
            if (area.readWrite) {
                for (Range range : without(area.range, known)) {
                    long at = addChunks(range.start, range.end, chosen);
                    long end = range.end;
                    if (at == range.start && range.length() >= minLength) {
                        end = searched.contains(range) ? range.end : firstOfLastChunks(range);
                        if (end == range.end) {
                            searchedNow.add(range);
                        } else {
                            addChunks(end, range.end, chosen);
                        }
                    }
                    boolean isStack = area.noHugePages || (area.behindInaccessible && at == area.range.start);
                    if (at < end && !isStack) {
                        without(new Range(at, end), baseline).forEach(rest -> others.addAll(withoutHeaps(rest)));
                    }
                }
            }
        }
        searched = searchedNow;
        others.removeIf(range -> range.length() < minLength);
        if (!others.isEmpty()) {
            List<Range> ofJvm = jvmRanges.get();
            others.removeIf(range -> ofJvm.stream().anyMatch(range::overlaps));
            chosen.addAll(others);
        }
        chosen.sort(Comparator.comparingLong(Range::start));
        return chosen;
    }

    /** Returns the parts of a range that are not in heaps of {@code malloc}. */
    private List<Range> withoutHeaps(Range range) {
        if (range.length() < minLength) {
            return List.of(range);
        }
        List<Range> heaps = new ArrayList<>();
        for (long start = range.start & -MallocChunks.HEAP; start < range.end; start += MallocChunks.HEAP) {
            if (chunks.isHeapAt(start)) {
                heaps.add(new Range(start, start + MallocChunks.HEAP));
            }
        }
        return without(range, heaps);
    }

    /** Returns only the chunks, as of another process, of which no baseline was taken. */
    public List<Range> chunks(Snapshot snapshot) throws IOException {
        return choose(snapshot, List.of(), List.of(new Range(0, Long.MAX_VALUE)), List::of);
    }

    /** Adds the chunks at the beginning of a range. Returns where they end. */
    private long addChunks(long start, long end, List<Range> chosen) {
        long at = start;
        // A mapping that is too small cannot contain a chunk to choose: do not read, and so create, its first page.
        while (end - at >= minLength) {
            long length = chunks.lengthAt(at, end);
            if (length == 0) {
                return at;
            }
            if (length >= minLength && length != COLLECTOR_QUEUE + pageSize) {
                chosen.add(new Range(at, at + length));
            }
            at += length;
        }
        return at;
    }

    /**
     * Searches the beginning of a range for chunks behind memory that was mapped later, and joined with them. What
     * looks like the header of a chunk is one if the chunks from there on reach exactly to the end.
     *
     * @return where the chunks begin; the end of the range if there are none
     */
    private long firstOfLastChunks(Range range) throws IOException {
        long[] present = new long[Pagemap.MAX_PAGES / Long.SIZE];
        long[] merged = new long[present.length];
        long limit = range.start + Math.min(range.length(), MAX_SEARCHED);
        for (long from = range.start; from < limit; from += Pagemap.MAX_PAGES * pageSize) {
            int pages = (int) Math.min((limit - from) / pageSize, Pagemap.MAX_PAGES);
            pagemap.read(from, pages, present, merged);
            for (int page = 0; page < pages; page++) {
                long at = from + page * pageSize;
                if ((present[page / Long.SIZE] & 1L << page) != 0 && endOfChunks(at, range.end) == range.end) {
                    return at;
                }
            }
        }
        return range.end;
    }

    private long endOfChunks(long start, long end) {
        long at = start;
        for (long length = -1; length != 0 && at < end; at += length) {
            length = chunks.lengthAt(at, end);
        }
        return at;
    }

    /** {@return whether a range of {@link #choose} is a chunk} */
    public boolean isChunk(Range range) {
        return chunks.lengthAt(range.start, range.end) == range.length();
    }

    @Override
    public void close() {
        try {
            chunks.close();
            pagemap.close();
        } catch (IOException e) {
            // Closing a file that was only read cannot lose data.
        }
    }

    /** Returns the parts of a range that are in none of these ranges, which are in order of address. */
    public static List<Range> without(Range range, List<Range> removed) {
        List<Range> rest = new ArrayList<>();
        long from = range.start;
        for (int i = firstEndingBehind(removed, from); i < removed.size() && removed.get(i).start < range.end; i++) {
            if (removed.get(i).start > from) {
                rest.add(new Range(from, removed.get(i).start));
            }
            from = Math.max(from, removed.get(i).end);
        }
        if (from < range.end) {
            rest.add(new Range(from, range.end));
        }
        return rest;
    }

    /** Returns what two lists have in common. Both are in order of address, and so is the result. */
    public static List<Range> common(List<Range> some, List<Range> others) {
        List<Range> common = new ArrayList<>();
        for (Range range : some) {
            for (int i = firstEndingBehind(others, range.start);
                    i < others.size() && others.get(i).start < range.end;
                    i++) {
                Range other = others.get(i);
                common.add(new Range(Math.max(range.start, other.start), Math.min(range.end, other.end)));
            }
        }
        return common;
    }

    private static int firstEndingBehind(List<Range> ranges, long address) {
        int low = 0;
        int high = ranges.size();
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (ranges.get(middle).end <= address) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    private static void append(List<Range> ranges, Range range) {
        Range last = ranges.isEmpty() ? null : ranges.get(ranges.size() - 1);
        if (last != null && last.end == range.start) {
            ranges.set(ranges.size() - 1, new Range(last.start, range.end));
        } else {
            ranges.add(range);
        }
    }
}
