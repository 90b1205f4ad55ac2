package io.ksm4j;

import io.ksm4j.stats.RegionStats;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** What the kernel says about this process's mappings, in {@code /proc/self} (proc_pid_maps(5), proc_pid_smaps(5)). */
final class ProcSelf {

    private final Path proc;

    ProcSelf() {
        this(Path.of("/proc"));
    }

    ProcSelf(Path proc) {
        this.proc = proc;
    }

    /** One mapping in {@code smaps}: where it is, its counters in bytes (-1: the kernel does not tell), its flags. */
    record Mapping(long start, long end, long rss, long pss, long ksm, String vmFlags) {

        boolean mergeable() {
            return (vmFlags + " ").contains(" mg ");
        }
    }

    /** The parts of the range that nothing is mapped to. Reads {@code maps}, which does not walk page tables. */
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

    /** {@code vm.max_map_count}, where {@code /proc/sys} can be read. */
    OptionalLong maxMapCount() {
        // In one read: Files.readString asks for the first byte alone, and /proc/sys answers one read of a number only.
        try (BufferedReader reader = open("sys/vm/max_map_count")) {
            String number = reader.readLine();
            return number == null ? OptionalLong.empty() : OptionalLong.of(Long.parseLong(number.trim()));
        } catch (IOException | NumberFormatException e) {
            return OptionalLong.empty();
        }
    }

    /**
     * The parts of the ranges whose mappings do not carry the {@code mg} flag; unmapped parts among them. One pass, however many
     * ranges.
     */
    List<AddressRange> notMergeable(Collection<AddressRange> ranges) {
        NavigableMap<Long, Long> mergeable = new TreeMap<>();
        AddressRange all = AddressRange.between(
                ranges.stream().mapToLong(AddressRange::start).min().orElseThrow(),
                ranges.stream().mapToLong(AddressRange::end).max().orElseThrow());
        forEachMapping(all, mapping -> {
            if (mapping.mergeable()) {
                mergeable.put(mapping.start(), mapping.end());
            }
        });
        List<AddressRange> missing = new ArrayList<>();
        for (AddressRange range : ranges) {
            long from = range.start();
            Map.Entry<Long, Long> first = mergeable.floorEntry(from);
            NavigableMap<Long, Long> candidates =
                    mergeable.subMap(first == null ? from : first.getKey(), true, range.end(), false);
            for (Map.Entry<Long, Long> mapping : candidates.entrySet()) {
                if (mapping.getKey() > from) {
                    missing.add(AddressRange.between(from, mapping.getKey()));
                }
                from = Math.max(from, mapping.getValue());
            }
            if (from < range.end()) {
                missing.add(AddressRange.between(from, range.end()));
            }
        }
        return missing;
    }

    /** The sum of the counters of every mapping that the range touches. */
    RegionStats stats(AddressRange range) {
        long[] sums = new long[3];
        boolean[] ksmTold = {true};
        forEachMapping(range, mapping -> {
            sums[0] += mapping.rss();
            sums[1] += mapping.ksm();
            sums[2] += mapping.rss() - mapping.pss();
            ksmTold[0] &= mapping.ksm() >= 0;
        });
        return new RegionStats(sums[0], ksmTold[0] ? OptionalLong.of(sums[1]) : OptionalLong.empty(), sums[2]);
    }

    /**
     * Visits the mappings that overlap the range. The kernel walks the page tables of every mapping it prints, so reading
     * stops at the first one behind the range.
     */
    void forEachMapping(AddressRange range, Consumer<Mapping> visitor) {
        try (BufferedReader reader = open("self/smaps")) {
            SmapsEntry entry = new SmapsEntry();
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                if (!isHeader(line)) {
                    entry.add(line);
                    continue;
                }
                entry.end(range, visitor);
                entry = new SmapsEntry();
                entry.header = line;
                if (startOf(line) >= range.end()) {
                    return;
                }
            }
            entry.end(range, visitor);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + proc.resolve("self/smaps") + ": is /proc mounted?", e);
        }
    }

    private static final class SmapsEntry {
        private @Nullable String header;
        private long rss;
        private long pss;
        private long ksm = -1;
        private String vmFlags = "";

        void add(String line) {
            if (line.startsWith("Rss:")) {
                rss = bytes(line);
            } else if (line.startsWith("Pss:")) {
                pss = bytes(line);
            } else if (line.startsWith("KSM:")) {
                ksm = bytes(line);
            } else if (line.startsWith("VmFlags:")) {
                vmFlags = line;
            }
        }

        void end(AddressRange range, Consumer<Mapping> visitor) {
            if (header == null) {
                return;
            }
            long start = startOf(header);
            long end = endOf(header);
            if (start < range.end() && end > range.start()) {
                visitor.accept(new Mapping(start, end, rss, pss, ksm, vmFlags));
            }
        }

        private static long bytes(String line) {
            int unit = line.lastIndexOf(" kB");
            return Long.parseLong(line.substring(line.indexOf(':') + 1, unit).trim()) << 10;
        }
    }

    private interface RangeVisitor {
        void visit(long start, long end);
    }

    private void forEachMapsLine(RangeVisitor visitor) {
        try (BufferedReader reader = open("self/maps")) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                visitor.visit(startOf(line), endOf(line));
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + proc.resolve("self/maps") + ": is /proc mounted?", e);
        }
    }

    private BufferedReader open(String file) throws IOException {
        // The names of mapped files may be in any encoding; every byte is a character of Latin-1.
        return Files.newBufferedReader(proc.resolve(file), StandardCharsets.ISO_8859_1);
    }

    /** A mapping's first line starts with its address in lower-case hexadecimal, every other with a capital letter. */
    private static boolean isHeader(String line) {
        return !line.isEmpty() && Character.digit(line.charAt(0), 16) >= 0 && !Character.isUpperCase(line.charAt(0));
    }

    /** Negative for the vsyscall page, the one line of the kernel's half: so it comes before every range. */
    private static long startOf(String line) {
        return Long.parseUnsignedLong(line, 0, line.indexOf('-'), 16);
    }

    private static long endOf(String line) {
        int dash = line.indexOf('-');
        return Long.parseUnsignedLong(line, dash + 1, line.indexOf(' ', dash), 16);
    }
}
