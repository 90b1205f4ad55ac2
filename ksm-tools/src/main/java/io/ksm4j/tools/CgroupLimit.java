package io.ksm4j.tools;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * The limit of a memory cgroup that leaves this process least.
 *
 * @param file the file it stands in
 * @param limit bytes
 * @param left bytes that are not in use yet, at least 0
 */
record CgroupLimit(String file, long limit, long left) {

    /** Empty if there is none below {@code sys/fs/cgroup}, of either version. */
    static Optional<CgroupLimit> read(Path root) {
        Optional<CgroupLimit> least = Optional.empty();
        for (String line : lines(root.resolve("proc/self/cgroup"))) {
            // 4:memory:/path for version 1, 0::/path for version 2
            String[] parts = line.split(":", 3);
            boolean unified = parts.length == 3 && parts[1].isEmpty();
            if (unified || (parts.length == 3 && ("," + parts[1] + ",").contains(",memory,"))) {
                String mount = "/sys/fs/cgroup" + (unified ? "" : "/memory");
                String path = parts[2].equals("/") ? "" : parts[2];
                // A container may see its own group where it sees no path to it.
                String group = isThere(root, mount + path) ? mount + path : mount;
                while (group.startsWith(mount)) {
                    least = lesser(least, limitOf(root, group, unified));
                    group = group.substring(0, group.lastIndexOf('/'));
                }
            }
        }
        return least;
    }

    private static boolean isThere(Path root, String group) {
        try {
            return Files.isDirectory(root.resolve(group.substring(1)));
        } catch (InvalidPathException e) {
            return false; // A name that the locale has no characters for.
        }
    }

    private static Optional<CgroupLimit> lesser(Optional<CgroupLimit> one, Optional<CgroupLimit> other) {
        return one.isEmpty() || (other.isPresent() && other.get().left < one.get().left) ? other : one;
    }

    private static Optional<CgroupLimit> limitOf(Path root, String group, boolean unified) {
        String file = group + (unified ? "/memory.max" : "/memory.limit_in_bytes");
        String usage = group + (unified ? "/memory.current" : "/memory.usage_in_bytes");
        OptionalLong limit = number(root.resolve(file.substring(1)));
        OptionalLong used = number(root.resolve(usage.substring(1)));
        // Version 1 has the largest number of pages there is for no limit.
        if (limit.isEmpty() || used.isEmpty() || limit.getAsLong() > Long.MAX_VALUE - (1 << 20)) {
            return Optional.empty();
        }
        // The page cache is dropped before anybody is killed.
        long inUse = used.getAsLong() - cached(root.resolve(group.substring(1)).resolve("memory.stat"), unified);
        return Optional.of(new CgroupLimit(file, limit.getAsLong(), Math.max(0, limit.getAsLong() - inUse)));
    }

    private static long cached(Path stat, boolean unified) {
        long bytes = 0;
        for (String line : lines(stat)) {
            String[] words = line.split(" ", 2);
            if (words[0].matches((unified ? "" : "total_") + "(in)?active_file")) {
                bytes += words.length == 2 ? number(words[1]).orElse(0) : 0;
            }
        }
        return bytes;
    }

    private static OptionalLong number(Path file) {
        List<String> lines = lines(file);
        return lines.isEmpty() ? OptionalLong.empty() : number(lines.get(0));
    }

    private static OptionalLong number(String text) {
        try {
            return OptionalLong.of(Long.parseLong(text));
        } catch (NumberFormatException e) {
            return OptionalLong.empty(); // "max", for one
        }
    }

    private static List<String> lines(Path file) {
        try {
            return new String(Files.readAllBytes(file), StandardCharsets.UTF_8)
                    .lines()
                    .toList();
        } catch (IOException e) {
            return List.of();
        }
    }
}
