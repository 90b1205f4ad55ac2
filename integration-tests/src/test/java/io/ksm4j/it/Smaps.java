package io.ksm4j.it;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** One reading of {@code /proc/self/smaps}, by other means than the library's own. */
final class Smaps {

    private static final Pattern HEADER = Pattern.compile("([0-9a-f]+)-([0-9a-f]+) .*");

    /** A mapping; the counters are in kB. */
    record Mapping(long start, long end, Map<String, Long> counters, String flags) {}

    private final NavigableMap<Long, Mapping> mappings = new TreeMap<>();

    static Smaps read() {
        Smaps smaps = new Smaps();
        long start = 0;
        long end = 0;
        Map<String, Long> counters = new TreeMap<>();
        try {
            // Latin-1: mapped files may have names in any encoding.
            for (String line : Files.readAllLines(Path.of("/proc/self/smaps"), StandardCharsets.ISO_8859_1)) {
                int colon = line.indexOf(':');
                if (Character.isUpperCase(line.charAt(0)) && line.endsWith(" kB")) {
                    counters.put(
                            line.substring(0, colon),
                            Long.parseLong(
                                    line.substring(colon + 1, line.length() - 3).strip()));
                } else if (line.startsWith("VmFlags:")) {
                    smaps.mappings.put(start, new Mapping(start, end, counters, line.substring(8) + " "));
                } else if (Character.isLowerCase(line.charAt(0)) || Character.isDigit(line.charAt(0))) {
                    Matcher header = HEADER.matcher(line);
                    if (!header.matches()) {
                        throw new AssertionError(line);
                    }
                    start = Long.parseUnsignedLong(header.group(1), 16);
                    end = Long.parseUnsignedLong(header.group(2), 16);
                    counters = new TreeMap<>();
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return smaps;
    }

    boolean isMergeable(long address) {
        Map.Entry<Long, Mapping> at = mappings.floorEntry(address);
        return at != null
                && address < at.getValue().end()
                && at.getValue().flags().contains(" mg ");
    }

    /** A counter of the mappings that lie in the range, in kB. */
    long kilobytes(String counter, long from, long to) {
        return mappings.subMap(from, to).values().stream()
                .mapToLong(mapping -> mapping.counters().getOrDefault(counter, 0L))
                .sum();
    }
}
