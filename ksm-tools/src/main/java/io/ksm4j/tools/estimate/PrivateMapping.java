package io.ksm4j.tools.estimate;

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
 * A mapping with pages that {@code ksmd} could merge: a private one, neither of devices nor of huge pages from the pool, some of whose
 * pages no file stands behind.
 *
 * @param start its first address
 * @param end the first address after it
 * @param anonymous bytes that no file stands behind and that are in memory
 * @param huge bytes of those that are in huge pages
 * @param marked whether they may be merged already
 */
record PrivateMapping(long start, long end, long anonymous, long huge, boolean marked) {

    private static final Pattern HEADER = Pattern.compile("([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([-rwxsp]{4}) .*");
    private static final Pattern KILOBYTES = Pattern.compile("([A-Za-z]+): +([0-9]{1,15}) kB");
    private static final String FLAGS = "VmFlags: ";

    /**
     * What the kernel refuses (ksm_compatible in mm/ksm.c), by the names in proc_pid_smaps(5): shared, may be shared, of devices, not
     * to be expanded, of page frames, mixed, from the pool of huge pages, droppable.
     */
    private static final Set<String> NOT_MERGEABLE = Set.of("sh", "ms", "io", "de", "pf", "mm", "ht", "dp");

    /**
     * Those of a process, by ascending addresses; none of a kernel thread or a zombie.
     *
     * @throws IOException if the file cannot be read, or is not what the kernel writes
     */
    static List<PrivateMapping> read(Path smaps) throws IOException {
        List<PrivateMapping> mappings = new ArrayList<>();
        // Names of files may hold any byte.
        try (BufferedReader lines = Files.newBufferedReader(smaps, StandardCharsets.ISO_8859_1)) {
            Matcher header = null;
            long anonymous = 0;
            long huge = 0;
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                if (header == null || !Character.isUpperCase(line.isEmpty() ? ' ' : line.charAt(0))) {
                    header = HEADER.matcher(line);
                    if (!header.matches()) {
                        throw new IOException("no mapping in " + smaps + ": " + line);
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

    private static void add(
            List<PrivateMapping> mappings, Matcher header, Set<String> flags, long anonymous, long huge) {
        long start = Long.parseUnsignedLong(header.group(1), 16);
        long end = Long.parseUnsignedLong(header.group(2), 16);
        // One that has grown to the left between two reads of the file is printed twice.
        boolean isNews = mappings.isEmpty() || mappings.get(mappings.size() - 1).end <= start;
        boolean isPrivate = header.group(3).endsWith("p") && flags.stream().noneMatch(NOT_MERGEABLE::contains);
        if (isPrivate && isNews && 0 <= start && start < end) {
            mappings.add(new PrivateMapping(start, end, anonymous, huge, flags.contains("mg")));
        }
    }
}
