package io.ksm4j.internal.linux;

import io.ksm4j.internal.Descriptors;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * How much memory this process can still have before the OOM killer is invoked: the least of {@code MemAvailable} and what its
 * cgroup and each of that one's ancestors have left. A limit that cannot be read may be any: then it is 0 bytes, with the reason.
 *
 * <p>Names from {@code /proc} are bytes in no particular encoding. Here every byte is a character of Latin-1, and {@link #path}
 * makes a path of the same bytes.
 */
public final class MemoryLeft {

    /**
     * What is left.
     *
     * @param bytes at least 0
     * @param limit the limit of the cgroup that leaves no more, in bytes; {@link Long#MAX_VALUE} if it is the machine that does not
     * @param limitedBy the file where that limit stands
     * @param unreadable why a file that may hold a limit cannot be read; null if all can
     */
    public record Left(
            long bytes,
            long limit,
            String limitedBy,
            @Nullable String unreadable) {}

    /** Something cannot be read that may limit. */
    private static final class UnreadableException extends Exception {

        private static final long serialVersionUID = 1;

        private final String file;
        private final String reason;

        UnreadableException(String file, String reason) {
            super(file + ": " + reason, null, false, false);
            this.file = file;
            this.reason = reason;
        }
    }

    /** A limit of a cgroup: the file with the limit, whether every group has it, and the one with what is used of it. */
    private record Limit(String limit, boolean isAlwaysThere, String usage) {}

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
                    ? List.of(
                            new Limit("memory.max", false, "memory.current"),
                            new Limit("memory.high", false, "memory.current"))
                    : List.of(
                            new Limit("memory.limit_in_bytes", true, "memory.usage_in_bytes"),
                            new Limit("memory.memsw.limit_in_bytes", false, "memory.memsw.usage_in_bytes"));
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
    private record Hierarchy(Version version, List<String> groups, boolean isWhole) {}

    /** Its number is fixed: {@code CGROUP_NS_INIT_INO} in {@code linux/nsfs.h}. */
    private static final String FIRST_NAMESPACE = "cgroup:[4026531835]";

    private static final Pattern SPACE = Pattern.compile(" +");
    private static final Pattern DIGITS = Pattern.compile("[0-9]+");
    private static final String HEX = "0123456789ABCDEF";

    private static final long NO_LIMIT = Long.MAX_VALUE;

    private final Path root;

    /**
     * Reads nothing yet.
     *
     * @param root of a tree that holds {@code proc} and what is mounted: {@code /}, or one made for a test
     */
    public MemoryLeft(Path root) {
        this.root = root;
    }

    /**
     * Reads what the machine and each limit leave.
     *
     * @return the least of it
     */
    public Left read() {
        try {
            Left least = available();
            for (Hierarchy hierarchy : hierarchies()) {
                least = least(least, hierarchy);
            }
            return least;
        } catch (UnreadableException e) {
            return new Left(0, NO_LIMIT, display(e.file), e.reason);
        }
    }

    private Left available() throws UnreadableException {
        List<String> lines = required("/proc/meminfo");
        for (String name : List.of("MemAvailable", "MemFree")) {
            // Kernels before 3.14 have only the second, which is less.
            OptionalLong kilobytes = field("/proc/meminfo", lines, name + ":");
            if (kilobytes.isPresent()) {
                long bytes = Math.min(kilobytes.getAsLong(), Long.MAX_VALUE >> 10) << 10;
                return new Left(bytes, NO_LIMIT, name + " of /proc/meminfo", null);
            }
        }
        throw new UnreadableException("/proc/meminfo", "it has no MemAvailable");
    }

    private Left least(Left known, Hierarchy hierarchy) throws UnreadableException {
        Left least = known;
        Version version = hierarchy.version;
        // A lower bound of the limits of ancestors: those of a group have been counted for the groups below it.
        long ancestors = 0;
        for (String path : hierarchy.groups) {
            Group group = new Group(path, version);
            for (Limit limit : version.limits()) {
                String file = path + "/" + limit.limit;
                List<String> lines = lines(file);
                if (lines != null) {
                    least = group.least(least, limit(file, lines), path + "/" + limit.usage, file);
                } else if (limit.isAlwaysThere) {
                    throw new UnreadableException(file, "there is no such file");
                }
            }
            if (version == Version.V1
                    && !hierarchy.isWhole
                    && !group.leaves(least, ancestors, path + "/memory.usage_in_bytes")) {
                // The least limit of all ancestors, also of those that a container doesn't see; of their usage only
                // our part.
                OptionalLong limit = group.stat("hierarchical_memory_limit");
                if (limit.isEmpty()) {
                    throw new UnreadableException(path + "/memory.stat", "it has no hierarchical_memory_limit");
                }
                ancestors = ancestors == 0 ? limit.getAsLong() : Math.min(ancestors, limit.getAsLong());
                least = group.least(
                        least,
                        limit.getAsLong(),
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

        OptionalLong stat(String name) throws UnreadableException {
            List<String> lines = stat;
            if (lines == null) {
                lines = required(path + "/memory.stat");
                stat = lines;
            }
            return field(path + "/memory.stat", lines, name);
        }

        /** What is left by a limit, if that is less than what is known to be left by others. */
        Left least(Left known, long limit, String usage, String file) throws UnreadableException {
            if (limit == NO_LIMIT || leaves(known, limit, usage)) {
                return known;
            }
            // File pages that are read often are dropped, too, before anybody is killed; MemAvailable has them as well.
            long reclaimable = stat(version.hierarchical + "inactive_file").orElse(0)
                    + stat(version.hierarchical + "active_file").orElse(0);
            long kept = Math.max(0, used(usage) - reclaimable);
            long left = Math.max(0, limit - kept);
            return left < known.bytes ? new Left(left, limit, display(file), null) : known;
        }

        /** Whether a limit leaves at least as much as others do, even if nothing of what is used could be dropped. */
        boolean leaves(Left known, long limit, String usage) throws UnreadableException {
            return limit - used(usage) >= known.bytes;
        }
    }

    /** Those that limit the memory of this process: none without cgroups, else each mount that shows its group. */
    private List<Hierarchy> hierarchies() throws UnreadableException {
        String file = "/proc/self/cgroup";
        List<String> memberships = lines(file);
        if (memberships == null && Files.isDirectory(root.resolve("proc/self"))) {
            // A kernel without cgroups.
            return List.of();
        }
        // The memory controller is in one version only, and has a line of its own if that is the first.
        String unified = null;
        for (String membership : memberships == null ? required(file) : memberships) {
            int first = membership.indexOf(':');
            int second = membership.indexOf(':', first + 1);
            if (first < 0 || second < 0) {
                throw new UnreadableException(file, "the kernel writes no such line: " + membership);
            }
            String controllers = membership.substring(first + 1, second);
            String group = membership.substring(second + 1);
            if (Version.V1.isListedAs(controllers)) {
                return hierarchies(Version.V1, group);
            }
            if (Version.V2.isListedAs(controllers)) {
                unified = group;
            }
        }
        return unified == null ? List.of() : hierarchies(Version.V2, unified);
    }

    private List<Hierarchy> hierarchies(Version version, String group) throws UnreadableException {
        if (group.equals("/") && isInFirstNamespace()) {
            // The root of all groups has no limit.
            return List.of();
        }
        String file = "/proc/self/mountinfo";
        List<Hierarchy> hierarchies = new ArrayList<>();
        UnreadableException hidden = new UnreadableException(
                file, "the file system of the memory cgroup " + display(group) + " is not mounted here");
        for (String mount : required(file)) {
            Hierarchy hierarchy = hierarchy(version, group, mount);
            if (hierarchy != null) {
                try {
                    Files.readAttributes(path(hierarchy.groups.get(0)), BasicFileAttributes.class);
                    hierarchies.add(hierarchy);
                } catch (IOException | IllegalArgumentException e) {
                    // Perhaps something else is mounted over it, and another mount shows the group.
                    hidden = new UnreadableException(hierarchy.groups.get(0), e.toString());
                }
            }
        }
        if (hierarchies.isEmpty()) {
            throw hidden;
        }
        return hierarchies;
    }

    /** Of a line like {@code 35 31 0:32 /root /mount/point rw - cgroup cgroup rw,memory}; null if it is another file system. */
    private @Nullable Hierarchy hierarchy(Version version, String path, String mount) {
        int separator = mount.indexOf(" - ");
        if (separator < 0) {
            return null;
        }
        List<String> fields = words(mount.substring(0, separator));
        List<String> source = words(mount.substring(separator + 3));
        if (fields.size() < 5 || source.size() < 3 || !version.isMountedWith(source.get(0), source.get(2))) {
            return null;
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
        return new Hierarchy(version, groups, mountRoot.equals("/") && isInFirstNamespace());
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
    private static OptionalLong field(String file, List<String> lines, String name) throws UnreadableException {
        for (String line : lines) {
            if (line.startsWith(name + ' ')) {
                List<String> words = words(line);
                if (words.size() == 2 || (words.size() == 3 && words.get(2).equals("kB"))) {
                    return OptionalLong.of(number(file, words.get(1)));
                }
                throw new UnreadableException(file, "the kernel writes no such line: " + line);
            }
        }
        return OptionalLong.empty();
    }

    private static List<String> words(String line) {
        return SPACE.splitAsStream(line).toList();
    }

    private long used(String file) throws UnreadableException {
        return number(file, onlyLine(file, required(file)));
    }

    private static long limit(String file, List<String> lines) throws UnreadableException {
        String text = onlyLine(file, lines);
        return text.equals("max") ? NO_LIMIT : number(file, text);
    }

    private static String onlyLine(String file, List<String> lines) throws UnreadableException {
        if (lines.size() != 1) {
            throw new UnreadableException(file, "it has " + lines.size() + " lines instead of one");
        }
        return lines.get(0);
    }

    /** {@link #NO_LIMIT} for what is larger than a long can be. */
    private static long number(String file, String text) throws UnreadableException {
        if (!DIGITS.matcher(text).matches()) {
            throw new UnreadableException(file, "expected a number, found \"" + text + "\"");
        }
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException tooLarge) {
            return NO_LIMIT;
        }
    }

    private List<String> required(String file) throws UnreadableException {
        List<String> lines = lines(file);
        if (lines == null) {
            throw new UnreadableException(file, "there is no such file");
        }
        return lines;
    }

    /** Null if there is no such file, as in this kernel, or in a group without the memory controller. */
    private @Nullable List<String> lines(String file) throws UnreadableException {
        try {
            // Only '\n' ends a line: a name may hold any other byte.
            String text = new String(Files.readAllBytes(path(file)), StandardCharsets.ISO_8859_1);
            return text.isEmpty() ? List.of() : List.of(text.split("\n"));
        } catch (NoSuchFileException e) {
            return null;
        } catch (IOException | IllegalArgumentException e) {
            throw new UnreadableException(file, Descriptors.areUsedUp() ? Descriptors.USED_UP : e.toString());
        }
    }

    /**
     * The path of these bytes. A string would be encoded as the locale says, which is ASCII under {@code LC_ALL=C} on Java 17; the
     * bytes of a URI are taken as they are.
     */
    private Path path(String latin1) {
        StringBuilder uri = new StringBuilder("file://");
        for (int i = 0; i < latin1.length(); i++) {
            char c = latin1.charAt(i);
            if (c == '/') {
                uri.append(c);
            } else {
                uri.append('%').append(HEX.charAt(c >> 4)).append(HEX.charAt(c & 0xf));
            }
        }
        Path absolute = Path.of(URI.create(uri.toString()));
        return absolute.getNameCount() == 0 ? root : root.resolve(absolute.subpath(0, absolute.getNameCount()));
    }

    /** For people: names are UTF-8 as a rule. */
    private static String display(String latin1) {
        return new String(latin1.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
    }
}
