package io.ksm4j;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * How much memory this process can still have before the kernel kills somebody: the least of {@code MemAvailable} and what its
 * cgroup and each of that one's ancestors have left. What can't be read, or is no number, limits nothing.
 */
final class MemoryLeft {

    /** Bytes, at least 0, and what leaves no more. */
    record Left(long bytes, String limitedBy) {}

    /** A limit of a cgroup: the file with the limit and the one with what is used of it. */
    private record Limit(String limit, String usage) {}

    /** The two versions of the interface (cgroups(7)); on a hybrid host both are mounted, and one has the memory controller. */
    private enum Version {
        V1("cgroup", "total_"),
        V2("cgroup2", "");

        private final String fileSystem;

        /** In {@code memory.stat}: what the names of counters begin with that include groups below. */
        private final String hierarchical;

        Version(String fileSystem, String hierarchical) {
            this.fileSystem = fileSystem;
            this.hierarchical = hierarchical;
        }

        List<Limit> limits() {
            return this == V2
                    ? List.of(new Limit("memory.max", "memory.current"), new Limit("memory.high", "memory.current"))
                    : List.of(
                            new Limit("memory.limit_in_bytes", "memory.usage_in_bytes"),
                            new Limit("memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes"));
        }

        /** Whether a line of {@code /proc/self/cgroup} is about memory: {@code 4:memory:/path}, or {@code 0::/path}. */
        boolean isListedAs(String controllers) {
            return this == V2 ? controllers.isEmpty() : hasMemory(controllers);
        }

        boolean isMountedWith(String type, String options) {
            return type.equals(fileSystem) && (this == V2 || hasMemory(options));
        }

        private static boolean hasMemory(String list) {
            return ("," + list + ",").contains(",memory,");
        }
    }

    /** The folders of the process's group and of its ancestors, as far as they are mounted, and whether those are all. */
    private record Hierarchy(List<String> groups, boolean isWhole) {}

    /** Its number is fixed: {@code CGROUP_NS_INIT_INO} in {@code linux/nsfs.h}. */
    private static final String FIRST_NAMESPACE = "cgroup:[4026531835]";

    private static final Pattern SPACE = Pattern.compile(" +");

    private final Path root;

    /** Reads a tree that holds {@code proc} and what is mounted: {@code /}, or one made for a test. */
    MemoryLeft(Path root) {
        this.root = root;
    }

    /** The least of all; null if nothing is known. */
    @Nullable
    Left read() {
        Left least = null;
        OptionalLong available = field(lines("/proc/meminfo"), "MemAvailable:");
        if (available.isPresent() && available.getAsLong() <= Long.MAX_VALUE >> 10) {
            least = new Left(available.getAsLong() << 10, "MemAvailable of /proc/meminfo");
        }
        List<String> memberships = lines("/proc/self/cgroup");
        List<String> mounts = lines("/proc/self/mountinfo");
        for (Version version : Version.values()) {
            for (Hierarchy hierarchy : hierarchies(version, memberships, mounts)) {
                least = least(least, version, hierarchy);
            }
        }
        return least;
    }

    private @Nullable Left least(@Nullable Left known, Version version, Hierarchy hierarchy) {
        Left least = known;
        // A lower bound of the limits of ancestors: those of a group have been counted for the groups below it.
        long ancestors = 0;
        for (String path : hierarchy.groups) {
            Group group = new Group(path, version);
            for (Limit limit : version.limits()) {
                String file = path + "/" + limit.limit;
                least = group.least(least, number(file), path + "/" + limit.usage, file);
            }
            if (version == Version.V1
                    && !hierarchy.isWhole
                    && !group.leaves(least, ancestors, path + "/memory.usage_in_bytes")) {
                // The least limit of all ancestors, also of those that a container doesn't see; of their usage only
                // our part.
                OptionalLong limit = group.stat("hierarchical_memory_limit");
                ancestors = ancestors == 0 ? limit.orElse(0) : Math.min(ancestors, limit.orElse(0));
                least = group.least(
                        least,
                        limit,
                        path + "/memory.usage_in_bytes",
                        path + "/memory.stat (hierarchical_memory_limit)");
            }
        }
        return least;
    }

    /** A group, whose {@code memory.stat} is read once at most, and only if it matters: it takes the kernel a millisecond. */
    private final class Group {

        private final String path;
        private final Version version;
        private @Nullable List<String> stat;

        Group(String path, Version version) {
            this.path = path;
            this.version = version;
        }

        OptionalLong stat(String name) {
            List<String> lines = stat;
            if (lines == null) {
                lines = lines(path + "/memory.stat");
                stat = lines;
            }
            return field(lines, name);
        }

        /** What is left by a limit, if that is less than what is known to be left by others. */
        @Nullable
        Left least(@Nullable Left known, OptionalLong limit, String usage, String file) {
            OptionalLong used = number(usage);
            if (limit.isEmpty() || used.isEmpty() || leaves(known, limit.getAsLong(), usage)) {
                return known;
            }
            // File pages that are read often are dropped, too, before anybody is killed; MemAvailable has them as well.
            long reclaimable = stat(version.hierarchical + "inactive_file").orElse(0)
                    + stat(version.hierarchical + "active_file").orElse(0);
            long kept = Math.max(0, used.getAsLong() - reclaimable);
            Left left = new Left(Math.max(0, limit.getAsLong() - kept), file);
            return known == null || left.bytes < known.bytes ? left : known;
        }

        /** Whether a limit leaves at least as much as others do, even if nothing of what is used could be dropped. */
        boolean leaves(@Nullable Left known, long limit, String usage) {
            return known != null && limit - number(usage).orElse(0) >= known.bytes;
        }
    }

    private List<Hierarchy> hierarchies(Version version, List<String> memberships, List<String> mounts) {
        List<Hierarchy> hierarchies = new ArrayList<>();
        for (String membership : memberships) {
            int first = membership.indexOf(':');
            int second = membership.indexOf(':', first + 1);
            if (first >= 0 && second >= 0 && version.isListedAs(membership.substring(first + 1, second))) {
                for (String mount : mounts) {
                    addHierarchy(hierarchies, version, membership.substring(second + 1), mount);
                }
            }
        }
        return hierarchies;
    }

    /** Of a line like {@code 35 31 0:32 /root /mount/point rw - cgroup cgroup rw,memory}. */
    private void addHierarchy(List<Hierarchy> hierarchies, Version version, String path, String mount) {
        int separator = mount.indexOf(" - ");
        if (separator < 0) {
            return;
        }
        List<String> fields = words(mount.substring(0, separator));
        List<String> source = words(mount.substring(separator + 3));
        if (fields.size() < 5 || source.size() < 3 || !version.isMountedWith(source.get(0), source.get(2))) {
            return;
        }
        String mountRoot = unescape(fields.get(3));
        String mountPoint = unescape(fields.get(4));
        List<String> groups = new ArrayList<>();
        String group = mountPoint + below(mountRoot, path);
        while (group.length() > mountPoint.length()) {
            groups.add(group);
            group = group.substring(0, group.lastIndexOf('/'));
        }
        groups.add(mountPoint);
        hierarchies.add(new Hierarchy(groups, mountRoot.equals("/") && isInFirstNamespace()));
    }

    /** Whether the root that the process sees is that of all groups: it has been in the kernel's first namespace from the start. */
    private boolean isInFirstNamespace() {
        try {
            return Files.readSymbolicLink(root.resolve("proc/self/ns/cgroup"))
                    .toString()
                    .equals(FIRST_NAMESPACE);
        } catch (IOException | UnsupportedOperationException e) {
            return false;
        }
    }

    /**
     * A group's path below the group that is mounted. A container may see its own group as the mount's root; where the two don't
     * fit together, what is mounted is taken for the process's own group.
     */
    private static String below(String mountRoot, String path) {
        String prefix = mountRoot.equals("/") ? "" : mountRoot;
        boolean inside = path.startsWith(prefix + "/") && !(path + "/").contains("/../");
        return inside && !path.equals("/") ? path.substring(prefix.length()) : "";
    }

    /** Blanks and backslashes in mountinfo are three octal digits (proc_pid_mountinfo(5)). */
    private static String unescape(String field) {
        return field.replace("\\040", " ")
                .replace("\\011", "\t")
                .replace("\\012", "\n")
                .replace("\\134", "\\");
    }

    /** Of lines like {@code inactive_file 4096} and {@code MemAvailable:   123 kB}: the number, whatever its unit. */
    private static OptionalLong field(List<String> lines, String name) {
        for (String line : lines) {
            if (line.startsWith(name)) {
                List<String> words = words(line);
                boolean complete =
                        words.size() == 2 || (words.size() == 3 && words.get(2).equals("kB"));
                if (complete && words.get(0).equals(name)) {
                    return parse(words.get(1));
                }
            }
        }
        return OptionalLong.empty();
    }

    private static List<String> words(String line) {
        return SPACE.splitAsStream(line).toList();
    }

    private OptionalLong number(String file) {
        List<String> lines = lines(file);
        return lines.isEmpty() ? OptionalLong.empty() : parse(lines.get(0));
    }

    /** Empty for {@code max}, for what is larger than a long can be, and for garbage: none of them is a limit. */
    private static OptionalLong parse(String text) {
        try {
            long number = Long.parseLong(text.trim());
            return number < 0 ? OptionalLong.empty() : OptionalLong.of(number);
        } catch (NumberFormatException e) {
            return OptionalLong.empty();
        }
    }

    private List<String> lines(String file) {
        try {
            return Files.readAllLines(root.resolve(file.substring(1)), StandardCharsets.ISO_8859_1);
        } catch (IOException | InvalidPathException e) {
            // No such file in this kernel or container, or a name that is no path.
            return List.of();
        }
    }
}
