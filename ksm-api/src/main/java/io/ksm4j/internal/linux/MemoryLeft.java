// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
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
import java.util.StringTokenizer;
import org.jspecify.annotations.Nullable;

/**
 * Computes the headroom: how much memory this process can still use before the OOM killer is invoked. It is the minimum
 * of {@code MemAvailable} and what the process's cgroup and each of its ancestors have left. If a limit cannot be read,
 * it might be any value, so the headroom is 0 bytes, with the reason.
 *
 * <p>Names in {@code /proc} are bytes without a defined encoding. Here every byte is a Latin-1 character, and
 * {@link #path} creates a path of the same bytes.
 */
public final class MemoryLeft {

    /**
     * The headroom.
     *
     * @param bytes at least 0
     * @param limit the limit of the cgroup that determines the headroom, in bytes; {@link Long#MAX_VALUE} if the
     *     machine determines it
     * @param limitedBy the file that contains the limit
     * @param unreadable why a file that may contain a limit cannot be read; null if all can be read
     */
    public record Left(
            long bytes,
            long limit,
            String limitedBy,
            @Nullable String unreadable) {}

    /** Thrown when a file that may contain a limit cannot be read. */
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

    /**
     * A limit of a cgroup: the file with the limit, whether every cgroup has that file, and the file with the usage.
     */
    private record Limit(String limit, boolean isAlwaysThere, String usage) {}

    /**
     * The two versions of the cgroup interface (cgroups(7)). On a hybrid host both are mounted, and one has the memory
     * controller.
     */
    private enum Version {
        V1("cgroup", "total_"),
        V2("cgroup2", "");

        private final String fileSystem;

        /** In {@code memory.stat}: the prefix of counters that include descendant cgroups. */
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

    /**
     * The directories of the process's cgroup and its ancestors, as far as they are mounted, and whether those are all
     * of them.
     */
    private record Hierarchy(Version version, List<String> groups, boolean isWhole) {}

    /** This inode number is fixed: {@code CGROUP_NS_INIT_INO} in {@code linux/nsfs.h}. */
    private static final String FIRST_NAMESPACE = "cgroup:[4026531835]";

    private static final String HEX = "0123456789ABCDEF";

    private static final long NO_LIMIT = Long.MAX_VALUE;

    private final Path root;

    /**
     * Creates a reader. Nothing is read yet.
     *
     * @param root a directory tree that contains {@code proc} and the mounted file systems: {@code /}, or a tree made
     *     for a test
     */
    public MemoryLeft(Path root) {
        this.root = root;
    }

    /**
     * Reads the memory left by the machine and by each limit.
     *
     * @return the minimum
     */
    public Left read() {
        try {
            Left min = available();
            for (Hierarchy hierarchy : hierarchies()) {
                min = min(min, hierarchy);
            }
            return min;
        } catch (UnreadableException e) {
            return new Left(0, NO_LIMIT, display(e.file), e.reason);
        }
    }

    private Left available() throws UnreadableException {
        List<String> lines = required("/proc/meminfo");
        for (String name : List.of("MemAvailable", "MemFree")) {
            // Kernels before 3.14 have only MemFree, which is lower.
            OptionalLong kilobytes = field("/proc/meminfo", lines, name + ":");
            if (kilobytes.isPresent()) {
                long bytes = Math.min(kilobytes.getAsLong(), Long.MAX_VALUE >> 10) << 10;
                return new Left(bytes, NO_LIMIT, name + " of /proc/meminfo", null);
            }
        }
        throw new UnreadableException("/proc/meminfo", "MemAvailable is missing");
    }

    private Left min(Left known, Hierarchy hierarchy) throws UnreadableException {
        Left min = known;
        Version version = hierarchy.version;
        // A lower bound for the limits of the ancestors: the descendants of a cgroup have already accounted for its
        // limits.
        long ancestors = 0;
        for (String path : hierarchy.groups) {
            Group group = new Group(path, version);
            for (Limit limit : version.limits()) {
                String file = path + "/" + limit.limit;
                List<String> lines = lines(file);
                if (lines != null) {
                    min = group.min(min, limit(file, lines), path + "/" + limit.usage, file);
                } else if (limit.isAlwaysThere) {
                    throw new UnreadableException(file, "the file does not exist");
                }
            }
            if (version == Version.V1
                    && !hierarchy.isWhole
                    && !group.leaves(min, ancestors, path + "/memory.usage_in_bytes")) {
                // The minimum limit of all ancestors, including those that a container does not see. Of their usage,
                // only our part is known.
                OptionalLong limit = group.stat("hierarchical_memory_limit");
                if (limit.isEmpty()) {
                    throw new UnreadableException(path + "/memory.stat", "hierarchical_memory_limit is missing");
                }
                ancestors = ancestors == 0 ? limit.getAsLong() : Math.min(ancestors, limit.getAsLong());
                min = group.min(
                        min,
                        limit.getAsLong(),
                        path + "/memory.usage_in_bytes",
                        path + "/memory.stat (hierarchical_memory_limit)");
            }
        }
        return min;
    }

    /**
     * A cgroup. Its {@code memory.stat} is read at most once, and only if needed, because the kernel takes a
     * millisecond for it.
     */
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

        /** Returns what a limit leaves, if that is less than the headroom known so far. */
        Left min(Left known, long limit, String usage, String file) throws UnreadableException {
            if (limit == NO_LIMIT || leaves(known, limit, usage)) {
                return known;
            }
            // Active file pages are also reclaimed before the OOM killer is invoked; MemAvailable includes them too.
            long reclaimable = stat(version.hierarchical + "inactive_file").orElse(0)
                    + stat(version.hierarchical + "active_file").orElse(0);
            long kept = Math.max(0, used(usage) - reclaimable);
            long left = Math.max(0, limit - kept);
            return left < known.bytes ? new Left(left, limit, display(file), null) : known;
        }

        /**
         * Whether a limit leaves at least the headroom known so far, even if none of the used memory can be reclaimed.
         */
        boolean leaves(Left known, long limit, String usage) throws UnreadableException {
            return limit - used(usage) >= known.bytes;
        }
    }

    /**
     * Returns the hierarchies that limit the memory of this process: none without cgroups, else every mount that shows
     * its cgroup.
     */
    private List<Hierarchy> hierarchies() throws UnreadableException {
        String file = "/proc/self/cgroup";
        List<String> memberships = lines(file);
        if (memberships == null && Files.isDirectory(root.resolve("proc/self"))) {
            // A kernel without cgroups.
            return List.of();
        }
        // Only one version has the memory controller; if it is v1, the controller has its own line.
        String unified = null;
        for (String membership : memberships == null ? required(file) : memberships) {
            int first = membership.indexOf(':');
            int second = membership.indexOf(':', first + 1);
            if (first < 0 || second < 0) {
                throw new UnreadableException(file, "unexpected line: " + membership);
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
            // The root cgroup has no limit.
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
                    // Something else may be mounted over it, and another mount may show the cgroup.
                    hidden = new UnreadableException(hierarchy.groups.get(0), e.toString());
                }
            }
        }
        if (hierarchies.isEmpty()) {
            throw hidden;
        }
        return hierarchies;
    }

    /**
     * Parses a line like {@code 35 31 0:32 /root /mount/point rw - cgroup cgroup rw,memory}; null if it is another file
     * system.
     */
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

    /** Whether the root that the process sees is the root of all cgroups: it is in the kernel's initial namespace. */
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
     * Returns the path of a cgroup relative to the one that is mounted. A container may see its own cgroup as the root
     * of the mount. If the two paths do not match, the mounted cgroup is taken to be that of the process.
     */
    private static String below(String mountRoot, String path) {
        String prefix = mountRoot.equals("/") ? "" : mountRoot;
        boolean inside = path.startsWith(prefix + "/") && !(path + "/").contains("/../");
        return inside && !path.equals("/") ? path.substring(prefix.length()) : "";
    }

    /** In mountinfo, spaces and backslashes are written as three octal digits (proc_pid_mountinfo(5)). */
    private static String unescape(String field) {
        return field.replace("\\040", " ")
                .replace("\\011", "\t")
                .replace("\\012", "\n")
                .replace("\\134", "\\");
    }

    /**
     * Returns the number in a line like {@code inactive_file 4096} or {@code MemAvailable:   123 kB}, regardless of its
     * unit.
     */
    private static OptionalLong field(String file, List<String> lines, String name) throws UnreadableException {
        for (String line : lines) {
            if (line.startsWith(name + ' ')) {
                List<String> words = words(line);
                if (words.size() == 2 || (words.size() == 3 && words.get(2).equals("kB"))) {
                    return OptionalLong.of(number(file, words.get(1)));
                }
                throw new UnreadableException(file, "unexpected line: " + line);
            }
        }
        return OptionalLong.empty();
    }

    private static List<String> words(String line) {
        List<String> words = new ArrayList<>();
        for (StringTokenizer rest = new StringTokenizer(line, " "); rest.hasMoreTokens(); ) {
            words.add(rest.nextToken());
        }
        return words;
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
            throw new UnreadableException(file, "expected one line, found " + lines.size());
        }
        return lines.get(0);
    }

    /** Returns {@link #NO_LIMIT} for numbers that do not fit into a long. */
    private static long number(String file, String text) throws UnreadableException {
        if (!isDigits(text)) {
            throw new UnreadableException(file, "expected a number, found \"" + text + "\"");
        }
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException tooLarge) {
            return NO_LIMIT;
        }
    }

    private static boolean isDigits(String text) {
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) < '0' || text.charAt(i) > '9') {
                return false;
            }
        }
        return !text.isEmpty();
    }

    private List<String> required(String file) throws UnreadableException {
        List<String> lines = lines(file);
        if (lines == null) {
            throw new UnreadableException(file, "the file does not exist");
        }
        return lines;
    }

    /** Returns null if the file does not exist, as on another kernel, or in a cgroup without the memory controller. */
    private @Nullable List<String> lines(String file) throws UnreadableException {
        try {
            // Only '\n' ends a line: names may contain any other byte.
            String text = new String(Files.readAllBytes(path(file)), StandardCharsets.ISO_8859_1);
            return text.isEmpty() ? List.of() : List.of(text.split("\n"));
        } catch (NoSuchFileException e) {
            return null;
        } catch (IOException | IllegalArgumentException e) {
            throw new UnreadableException(file, Descriptors.areUsedUp() ? Descriptors.USED_UP : e.toString());
        }
    }

    /**
     * Returns the path of these bytes. {@code Path.of(String)} would encode the string in the locale's charset, which
     * is ASCII under {@code LC_ALL=C} on Java 17; the bytes of a URI are used as they are.
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

    /** Decodes a name for display. Names are usually UTF-8. */
    private static String display(String latin1) {
        return new String(latin1.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
    }
}
