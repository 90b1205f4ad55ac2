// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.linux;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A mapping of a process, with the names of proc_pid_smaps(5).
 *
 * @param start its first address
 * @param end the address after its last
 * @param permissions such as {@code rw-p}
 * @param name its file, or a name such as {@code [heap]}; empty if it has none
 * @param anonymous bytes in memory that are not backed by a file
 * @param huge how many of those are in huge pages
 * @param merged bytes that are merged, except with the zero page; empty if the kernel does not report it
 * @param flags such as {@code mg}
 */
public record Mapping(
        long start,
        long end,
        String permissions,
        String name,
        long anonymous,
        long huge,
        OptionalLong merged,
        Set<String> flags) {

    private static final Pattern HEADER =
            Pattern.compile("([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([-rwxsp]{4}) \\S+ \\S+ \\S+ *(.*)");
    private static final Pattern KILOBYTES = Pattern.compile("([A-Za-z]+): +([0-9]{1,15}) kB");
    private static final String FLAGS = "VmFlags: ";

    /**
     * Reads the mappings of a process by ascending addresses. A kernel thread or a zombie has none.
     *
     * @throws IOException if the file cannot be read or has unexpected content
     */
    public static List<Mapping> read(Path smaps) throws IOException {
        List<Mapping> mappings = new ArrayList<>();
        // File names may contain any bytes.
        try (BufferedReader lines = Files.newBufferedReader(smaps, StandardCharsets.ISO_8859_1)) {
            Matcher header = null;
            long anonymous = 0;
            long huge = 0;
            OptionalLong merged = OptionalLong.empty();
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                if (header == null || !Character.isUpperCase(line.isEmpty() ? ' ' : line.charAt(0))) {
                    header = HEADER.matcher(line);
                    if (!header.matches()) {
                        throw new IOException("invalid mapping in " + smaps + ": " + line);
                    }
                    anonymous = 0;
                    huge = 0;
                    merged = OptionalLong.empty();
                    continue;
                }
                Matcher kilobytes = KILOBYTES.matcher(line);
                if (kilobytes.matches()) {
                    long bytes = Long.parseLong(kilobytes.group(2)) << 10;
                    switch (kilobytes.group(1)) {
                        case "Anonymous" -> anonymous = bytes;
                        case "AnonHugePages" -> huge = bytes;
                        case "KSM" -> merged = OptionalLong.of(bytes);
                        default -> {}
                    }
                } else if (line.startsWith(FLAGS)) {
                    add(mappings, header, anonymous, huge, merged, line.substring(FLAGS.length()));
                }
            }
        }
        return mappings;
    }

    private static void add(
            List<Mapping> mappings, Matcher header, long anonymous, long huge, OptionalLong merged, String flags) {
        long start = Long.parseUnsignedLong(header.group(1), 16);
        long end = Long.parseUnsignedLong(header.group(2), 16);
        // If a mapping grew downwards between two reads of the file, it appears twice.
        boolean isNews = mappings.isEmpty() || mappings.get(mappings.size() - 1).end <= start;
        if (isNews && 0 <= start && start < end) {
            mappings.add(new Mapping(
                    start,
                    end,
                    header.group(3),
                    header.group(4),
                    anonymous,
                    huge,
                    merged,
                    Set.copyOf(List.of(flags.strip().split(" ", -1)))));
        }
    }
}
