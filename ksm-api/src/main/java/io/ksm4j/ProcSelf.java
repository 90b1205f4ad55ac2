// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.Descriptors;
import io.ksm4j.internal.linux.NativeMappings;
import io.ksm4j.internal.linux.Pagemap;
import io.ksm4j.internal.linux.Smaps;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.OptionalLong;
import java.util.TreeMap;

/** Reads the mappings of this process from {@code /proc/self} (proc_pid_maps(5), proc_pid_smaps(5)). */
final class ProcSelf {

    private final Path proc;

    ProcSelf() {
        this(Path.of("/proc"));
    }

    ProcSelf(Path proc) {
        this.proc = proc;
    }

    /** {@return the unmapped parts of a range} Reads {@code maps}, for which the kernel walks no page tables. */
    List<AddressRange> gaps(AddressRange range) {
        List<AddressRange> gaps = new ArrayList<>();
        long[] from = {range.start()};
        forEachMapsLine((start, end) -> {
            if (end <= from[0] || start >= range.end()) {
                return;
            }
            if (start > from[0]) {
                gaps.add(AddressRange.between(from[0], start));
            }
            from[0] = end;
        });
        if (from[0] < range.end()) {
            gaps.add(AddressRange.between(from[0], range.end()));
        }
        return gaps;
    }

    long mappingCount() {
        long[] count = {0};
        forEachMapsLine((start, end) -> {
            if (start >= 0) {
                count[0]++;
            }
        });
        return count[0];
    }

    /** {@return {@code vm.max_map_count}; empty where {@code /proc/sys} cannot be read} */
    OptionalLong maxMapCount() {
        // Must be a single read: Files.readString reads the first byte separately, and /proc/sys returns a number only
        // to
        // the first read.
        try (BufferedReader reader = open("sys/vm/max_map_count")) {
            String number = reader.readLine();
            return number == null ? OptionalLong.empty() : OptionalLong.of(Long.parseLong(number.trim()));
        } catch (IOException | NumberFormatException e) {
            return OptionalLong.empty();
        }
    }

    /**
     * Returns the parts of ranges whose mappings do not have the {@code mg} flag, including unmapped parts. Reads
     * {@code smaps} once for all ranges.
     */
    List<AddressRange> notMergeable(Collection<AddressRange> ranges) {
        try (Smaps mapping = openSmaps()) {
            return notMergeable(mapping, ranges);
        }
    }

    /** Does the same as {@link #notMergeable(Collection)}, with a file that is open and was not read yet. */
    static List<AddressRange> notMergeable(Smaps mapping, Collection<AddressRange> ranges) {
        NavigableMap<Long, Long> mergeable = new TreeMap<>();
        AddressRange all = AddressRange.between(
                ranges.stream().mapToLong(AddressRange::start).min().orElseThrow(),
                ranges.stream().mapToLong(AddressRange::end).max().orElseThrow());
        try {
            while (mapping.next() && mapping.start < all.end()) {
                if (mapping.mergeable) {
                    mergeable.put(Math.max(mapping.start, mapping.previousEnd), mapping.end);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read the mappings of this process: " + e.getMessage(), e);
        }
        List<AddressRange> missing = new ArrayList<>();
        for (AddressRange range : ranges) {
            long from = range.start();
            Map.Entry<Long, Long> first = mergeable.floorEntry(from);
            NavigableMap<Long, Long> candidates =
                    mergeable.subMap(first == null ? from : first.getKey(), true, range.end(), false);
            for (Map.Entry<Long, Long> marked : candidates.entrySet()) {
                if (marked.getKey() > from) {
                    missing.add(AddressRange.between(from, marked.getKey()));
                }
                from = Math.max(from, marked.getValue());
            }
            if (from < range.end()) {
                missing.add(AddressRange.between(from, range.end()));
            }
        }
        return missing;
    }

    /**
     * Returns an upper bound of what is merged in ranges: the merged bytes of the mappings they touch, but no more than
     * the length of the ranges.
     *
     * @return bytes; on kernels that do not report merged bytes, the resident ones
     */
    long maxMergedBytes(Collection<AddressRange> ranges) {
        long sum = 0;
        List<AddressRange> inOrder = ranges.stream()
                .sorted(Comparator.comparingLong(AddressRange::start))
                .toList();
        int first = 0;
        try (Smaps mapping = smaps()) {
            while (first < inOrder.size() && mapping.next()) {
                while (first < inOrder.size() && inOrder.get(first).end() <= mapping.start) {
                    first++;
                }
                long length = 0;
                for (int i = first; i < inOrder.size() && inOrder.get(i).start() < mapping.end; i++) {
                    AddressRange range = inOrder.get(i);
                    length += Math.max(0, Math.min(range.end(), mapping.end) - Math.max(range.start(), mapping.start));
                }
                if (mapping.mergeable) {
                    sum += Math.min(mapping.ksm >= 0 ? mapping.ksm : mapping.rss, length);
                }
            }
        } catch (IOException e) {
            throw unreadable("self/smaps", e);
        }
        return sum;
    }

    /** Opens {@code smaps}. Reading an entry makes the kernel walk the page tables of its mapping. */
    Smaps smaps() throws IOException {
        return new Smaps(proc.resolve("self/smaps"));
    }

    /** Does the same as {@link #smaps()}, and throws {@link #unreadable} if it fails. */
    Smaps openSmaps() {
        try {
            return smaps();
        } catch (IOException e) {
            throw unreadable("self/smaps", e);
        }
    }

    Pagemap pagemap(long pageSize) throws IOException {
        return new Pagemap(proc.resolve("self/pagemap"), pageSize);
    }

    NativeMappings nativeMappings(long pageSize, long minLength) {
        try {
            return new NativeMappings(proc.resolve("self"), pageSize, minLength);
        } catch (IOException e) {
            throw unreadable("self/mem", e);
        }
    }

    UncheckedIOException unreadable(String file, IOException cause) {
        return new UncheckedIOException(
                "cannot read " + proc.resolve(file)
                        + (Descriptors.areUsedUp()
                                ? ": " + Descriptors.USED_UP
                                : ", is /proc mounted? " + cause.getMessage()),
                cause);
    }

    private interface RangeVisitor {
        void visit(long start, long end);
    }

    private void forEachMapsLine(RangeVisitor visitor) {
        try (BufferedReader reader = open("self/maps")) {
            StringBuilder range = new StringBuilder();
            boolean isInRange = true;
            // Only '\n' ends a line: file names may contain '\r'.
            for (int c = reader.read(); c >= 0; c = reader.read()) {
                if (c == '\n') {
                    visitor.visit(startOf(range), endOf(range));
                    range.setLength(0);
                    isInRange = true;
                } else if (c == ' ') {
                    isInRange = false;
                } else if (isInRange) {
                    range.append((char) c);
                }
            }
        } catch (IOException e) {
            throw unreadable("self/maps", e);
        }
    }

    /** Opens a file below {@code /proc}. */
    BufferedReader open(String file) throws IOException {
        // Names of mapped files may be in any encoding; in Latin-1, every byte is a character.
        return Files.newBufferedReader(proc.resolve(file), StandardCharsets.ISO_8859_1);
    }

    /** Negative for the vsyscall page, the only line in the kernel's half, so that it lies before every range. */
    private static long startOf(StringBuilder range) {
        return Long.parseUnsignedLong(range, 0, range.indexOf("-"), 16);
    }

    private static long endOf(StringBuilder range) {
        return Long.parseUnsignedLong(range, range.indexOf("-") + 1, range.length(), 16);
    }
}
