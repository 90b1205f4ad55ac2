// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.internal.linux.NativeMappings;
import io.ksm4j.internal.linux.NativeMappings.Range;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A mapping with pages that {@code ksmd} could merge: private, neither of devices nor of hugetlbfs, with pages not
 * backed by a file.
 *
 * @param start its first address
 * @param end the address after its last
 * @param anonymous bytes in memory that are not backed by a file
 * @param huge how many of those are in huge pages
 * @param marked whether they are already mergeable
 */
record PrivateMapping(long start, long end, long anonymous, long huge, boolean marked) {

    private static final Pattern HEADER = Pattern.compile("([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([-rwxsp]{4}) .*");
    private static final Pattern KILOBYTES = Pattern.compile("([A-Za-z]+): +([0-9]{1,15}) kB");
    private static final String FLAGS = "VmFlags: ";

    /**
     * What the kernel rejects (ksm_compatible in mm/ksm.c), with the names of proc_pid_smaps(5): shared, may share,
     * I/O, do not expand, page frames only, mixed map, hugetlb, droppable.
     */
    private static final Set<String> NOT_MERGEABLE = Set.of("sh", "ms", "io", "de", "pf", "mm", "ht", "dp");

    /**
     * Reads the mappings of a process by ascending addresses. A kernel thread or a zombie has none.
     *
     * @throws IOException if the file cannot be read or has unexpected content
     */
    static List<PrivateMapping> read(Path smaps) throws IOException {
        List<PrivateMapping> mappings = new ArrayList<>();
        // File names may contain any bytes.
        try (BufferedReader lines = Files.newBufferedReader(smaps, StandardCharsets.ISO_8859_1)) {
            Matcher header = null;
            long anonymous = 0;
            long huge = 0;
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                if (header == null || !Character.isUpperCase(line.isEmpty() ? ' ' : line.charAt(0))) {
                    header = HEADER.matcher(line);
                    if (!header.matches()) {
                        throw new IOException("invalid mapping in " + smaps + ": " + line);
                    }
                    anonymous = 0;
                    huge = 0;
                    continue;
                }
                Matcher kilobytes = KILOBYTES.matcher(line);
                if (kilobytes.matches()) {
                    long bytes = Long.parseLong(kilobytes.group(2)) << 10;
                    anonymous = kilobytes.group(1).equals("Anonymous") ? bytes : anonymous;
                    huge = kilobytes.group(1).equals("AnonHugePages") ? bytes : huge;
                } else if (line.startsWith(FLAGS) && anonymous > 0) {
                    Set<String> flags =
                            new HashSet<>(List.of(line.substring(FLAGS.length()).split(" ", -1)));
                    add(mappings, header, flags, anonymous, huge);
                }
            }
        }
        return mappings;
    }

    /** Returns the parts of this mapping in ranges, which are in order of address. A part has at most its own size. */
    List<PrivateMapping> in(List<Range> ranges) {
        return NativeMappings.common(List.of(new Range(start, end)), ranges).stream()
                .map(part -> new PrivateMapping(
                        part.start(),
                        part.end(),
                        Math.min(anonymous, part.length()),
                        Math.min(huge, part.length()),
                        marked))
                .toList();
    }

    private static void add(
            List<PrivateMapping> mappings, Matcher header, Set<String> flags, long anonymous, long huge) {
        long start = Long.parseUnsignedLong(header.group(1), 16);
        long end = Long.parseUnsignedLong(header.group(2), 16);
        // If a mapping grew downwards between two reads of the file, it appears twice.
        boolean isNews = mappings.isEmpty() || mappings.get(mappings.size() - 1).end <= start;
        boolean isPrivate = header.group(3).endsWith("p") && flags.stream().noneMatch(NOT_MERGEABLE::contains);
        if (isPrivate && isNews && 0 <= start && start < end) {
            mappings.add(new PrivateMapping(start, end, anonymous, huge, flags.contains("mg")));
        }
    }
}
