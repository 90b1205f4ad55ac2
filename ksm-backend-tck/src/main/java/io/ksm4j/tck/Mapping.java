// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tck;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A mapping of this process as {@code /proc/self/smaps} shows it. Reads the file without the library, which is what is
 * tested.
 *
 * @param start its first address
 * @param end the first address after it
 * @param permissions such as {@code rw-p}
 * @param name the file, {@code [anon:...]}, or empty
 * @param counters the counters that are not zero by name, such as {@code Rss}, in bytes
 * @param vmFlags two letters each: {@code mg} is mergeable, {@code hg} prefers huge pages, {@code nh} has no huge pages
 * @since 0.1.0
 */
public record Mapping(
        long start, long end, String permissions, String name, Map<String, Long> counters, Set<String> vmFlags) {

    private static final Pattern HEADER = Pattern.compile("([0-9a-f]+)-([0-9a-f]+) (\\S{4}) \\S+ \\S+ \\S+ *(.*)");

    /** Copies the counters and the flags. */
    public Mapping {
        counters = Map.copyOf(counters);
        vmFlags = Set.copyOf(vmFlags);
    }

    /**
     * {@return the mappings that overlap a range, in the order of their addresses}
     *
     * @param from the first address of the range
     * @param to the first address after the range
     */
    public static List<Mapping> between(long from, long to) {
        List<Mapping> mappings = new ArrayList<>();
        String header = "";
        Map<String, Long> counters = new HashMap<>();
        try {
            // Names of files may have any encoding: as Latin-1, every byte is a character. '\r' does not end a line.
            byte[] smaps = Files.readAllBytes(Path.of("/proc/self/smaps"));
            for (String line : new String(smaps, StandardCharsets.ISO_8859_1).split("\n", 0)) {
                if (line.startsWith("VmFlags:")) {
                    Mapping mapping = parse(header, counters, line);
                    if (mapping.start < to && mapping.end > from) {
                        mappings.add(mapping);
                    }
                    counters.clear();
                } else if (!Character.isUpperCase(line.charAt(0))) {
                    header = line;
                } else if (line.endsWith(" kB") && !line.endsWith(" 0 kB")) {
                    int colon = line.indexOf(':');
                    long kilobytes = Long.parseLong(
                            line.substring(colon + 1, line.length() - 3).trim());
                    counters.put(line.substring(0, colon), kilobytes << 10);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return mappings;
    }

    private static Mapping parse(String header, Map<String, Long> counters, String vmFlags) {
        Matcher fields = HEADER.matcher(header);
        if (!fields.matches()) {
            throw new IllegalStateException("/proc/self/smaps has flags without a mapping: " + vmFlags);
        }
        return new Mapping(
                Long.parseUnsignedLong(fields.group(1), 16),
                Long.parseUnsignedLong(fields.group(2), 16),
                fields.group(3),
                fields.group(4),
                counters,
                Set.of(vmFlags.substring("VmFlags:".length()).trim().split(" ")));
    }

    /**
     * {@return a counter in bytes, or 0 if the kernel does not have it}
     *
     * @param counter its name, such as {@code Rss}
     */
    public long bytes(String counter) {
        return counters.getOrDefault(counter, 0L);
    }

    /** {@return whether {@code ksmd} may merge its pages: whether it has the flag {@code mg}} */
    public boolean isMergeable() {
        return vmFlags.contains("mg");
    }
}
