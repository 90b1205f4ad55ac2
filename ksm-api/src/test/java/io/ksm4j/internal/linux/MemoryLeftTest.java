// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.internal.linux.MemoryLeft.Left;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class MemoryLeftTest {

    private static final String V1_MOUNT =
            "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n";
    private static final String V2_MOUNT =
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    private static final String OTHER_MOUNTS = """
            22 1 8:1 / / rw - ext4 /dev/sda1 rw
            32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
            """;
    private static final String NO_LIMIT = "9223372036854771712";

    @TempDir
    Path root;

    private MemoryLeft memory;

    @BeforeEach
    void ofAMachineWith4000KiB() throws IOException {
        memory = new MemoryLeft(root);
        Files.createDirectories(root.resolve("proc/self"));
        write("proc/meminfo", "MemTotal:        8000 kB\nMemFree:         1000 kB\nMemAvailable:    4000 kB\n");
    }

    private void write(String file, String text) throws IOException {
        Path path = root.resolve(file);
        Files.createDirectories(path.getParent());
        Files.writeString(path, text);
    }

    private void processIn(String cgroups, String mounts) throws IOException {
        write("proc/self/cgroup", cgroups);
        write("proc/self/mountinfo", OTHER_MOUNTS + mounts);
    }

    private void v2(String group, String max, String high, long current, long inactiveFile) throws IOException {
        write(group + "/memory.max", max + "\n");
        write(group + "/memory.high", high + "\n");
        write(group + "/memory.current", current + "\n");
        write(group + "/memory.stat", "anon 1\ninactive_file " + inactiveFile + "\ninactive_file_x 7\n");
    }

    private void v1(String group, String limit, long usage, long inactiveFile, String hierarchical) throws IOException {
        write(group + "/memory.limit_in_bytes", limit + "\n");
        write(group + "/memory.usage_in_bytes", usage + "\n");
        write(
                group + "/memory.stat",
                "inactive_file 0\nhierarchical_memory_limit " + hierarchical + "\ntotal_inactive_file " + inactiveFile
                        + "\n");
        // Ancestors have these files too.
        String parent = group.substring(0, group.lastIndexOf('/'));
        if (parent.contains("memory") && Files.notExists(root.resolve(parent + "/memory.stat"))) {
            v1(parent, NO_LIMIT, 0, 0, NO_LIMIT);
        }
    }

    private void assertLeft(long bytes, String limitedBy) {
        Left left = memory.read();
        assertThat(left.bytes()).isEqualTo(bytes);
        assertThat(left.limitedBy()).isEqualTo(limitedBy);
        assertThat(left.unreadable()).isNull();
    }

    private void assertOnlyTheMachineLimits() {
        assertLeft(4000 << 10, "MemAvailable of /proc/meminfo");
    }

    private void assertUnreadable(String limitedBy, String reason) {
        Left left = memory.read();
        assertThat(left.unreadable()).as("%s", left).isNotNull().contains(reason);
        assertThat(left.limitedBy()).isEqualTo(limitedBy);
        assertThat(left.bytes()).isZero();
    }

    /** Returns the path of percent-encoded bytes, which need not be text in any encoding. */
    private Path folder(String uri) throws IOException {
        return Files.createDirectories(Path.of(URI.create(root.toUri() + uri)));
    }

    @Test
    void isMemAvailableWithoutCgroups() {
        assertOnlyTheMachineLimits();
    }

    @Test
    void isZeroWithoutProc() {
        memory = new MemoryLeft(root.resolve("nowhere"));
        assertUnreadable("/proc/meminfo", "the file does not exist");
    }

    @Test
    void usesMemFreeBeforeLinux314() throws IOException {
        write("proc/meminfo", "MemTotal:        8000 kB\nMemFree:         1000 kB\n");
        assertLeft(1000 << 10, "MemFree of /proc/meminfo");
        write("proc/meminfo", "MemTotal:        8000 kB\n");
        assertUnreadable("/proc/meminfo", "MemAvailable is missing");
    }

    /** The second name is not valid UTF-8, so no string can represent it in this locale. */
    @ParameterizedTest
    @CsvSource({"%C3%A9, c3a9", "%FF%0D, ff0d", "a%25b, 612562"})
    void readsCgroupNamesAsBytes(String uri, String hexadecimal) throws IOException {
        byte[] name = HexFormat.of().parseHex(hexadecimal);
        String latin1 = new String(name, StandardCharsets.ISO_8859_1);
        for (boolean inMountPoint : new boolean[] {false, true}) {
            String mount = inMountPoint ? V2_MOUNT.replace("/sys/fs/cgroup", "/" + latin1) : V2_MOUNT;
            String group = inMountPoint ? "/app" : "/" + latin1;
            Files.write(root.resolve("proc/self/cgroup"), latin1("0::" + group + "\n"));
            Files.write(root.resolve("proc/self/mountinfo"), latin1(OTHER_MOUNTS + mount));
            Path folder = folder(inMountPoint ? uri + "/app" : "sys/fs/cgroup/" + uri);
            Files.writeString(folder.resolve("memory.max"), "100000\n");
            Files.writeString(folder.resolve("memory.current"), "70000\n");
            Files.writeString(folder.resolve("memory.stat"), "inactive_file 5000\n");
            String text = new String(name, StandardCharsets.UTF_8);
            assertLeft(35000, (inMountPoint ? "/" + text + "/app" : "/sys/fs/cgroup/" + text) + "/memory.max");
        }
    }

    private static byte[] latin1(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    @Test
    void isUnknownIfTheCgroupIsNotMounted() throws IOException {
        processIn("0::/app\n", V2_MOUNT);
        assertUnreadable("/sys/fs/cgroup/app", "NoSuchFileException");
        processIn("0::/app\n", "");
        assertUnreadable("/proc/self/mountinfo", "the memory cgroup /app is not mounted here");
        Files.delete(root.resolve("proc/self/mountinfo"));
        assertUnreadable("/proc/self/mountinfo", "the file does not exist");
        Files.delete(root.resolve("proc/self/cgroup"));
        Files.createDirectory(root.resolve("proc/self/cgroup"));
        assertUnreadable("/proc/self/cgroup", "IOException");
    }

    @Test
    void rootCgroupHasNoLimit() throws IOException {
        processIn("0::/\n", "");
        assertUnreadable("/proc/self/mountinfo", "the memory cgroup / is not mounted here");
        Path link = root.resolve("proc/self/ns/cgroup");
        Files.createDirectories(link.getParent());
        Files.createSymbolicLink(link, Path.of("cgroup:[4026531835]"));
        assertOnlyTheMachineLimits();
    }

    @Test
    void skipsAMountThatIsHiddenByAnother() throws IOException {
        processIn("0::/app\n", V2_MOUNT.replace("/sys/fs/cgroup", "/hidden") + V2_MOUNT);
        v2("sys/fs/cgroup/app", "100000", "max", 70000, 0);
        assertLeft(30000, "/sys/fs/cgroup/app/memory.max");
    }

    @Test
    void isUnknownIfTheUsageOfALimitIsMissing() throws IOException {
        processIn("0::/app\n", V2_MOUNT);
        v2("sys/fs/cgroup/app", "100000", "max", 70000, 0);
        Files.delete(root.resolve("sys/fs/cgroup/app/memory.current"));
        assertUnreadable("/sys/fs/cgroup/app/memory.current", "the file does not exist");
        processIn("4:memory:/app\n", V1_MOUNT);
        v1("sys/fs/cgroup/memory/app", NO_LIMIT, 5000, 1000, NO_LIMIT);
        Files.delete(root.resolve("sys/fs/cgroup/memory/app/memory.limit_in_bytes"));
        assertUnreadable("/sys/fs/cgroup/memory/app/memory.limit_in_bytes", "the file does not exist");
    }

    @Test
    void subtractsUsageFromLimitOfV2() throws IOException {
        processIn("0::/app\n", V2_MOUNT);
        v2("sys/fs/cgroup/app", "100000", "max", 70000, 5000);
        assertLeft(35000, "/sys/fs/cgroup/app/memory.max");
        v2("sys/fs/cgroup/app", "100000", "80000", 70000, 5000);
        assertLeft(15000, "/sys/fs/cgroup/app/memory.high");
        v2("sys/fs/cgroup/app", "max", "max", 70000, 5000);
        assertOnlyTheMachineLimits();
        v2("sys/fs/cgroup/app", "100000", "max", 200000, 5000);
        assertLeft(0, "/sys/fs/cgroup/app/memory.max");
    }

    @Test
    void countsActiveFilePagesAsAvailable() throws IOException {
        processIn("0::/app\n", V2_MOUNT);
        v2("sys/fs/cgroup/app", "100000", "max", 70000, 5000);
        write("sys/fs/cgroup/app/memory.stat", "active_file 20000\ninactive_file 5000\n");
        assertLeft(55000, "/sys/fs/cgroup/app/memory.max");
        processIn("4:memory:/app\n", V1_MOUNT);
        v1("sys/fs/cgroup/memory/app", "100000", 70000, 5000, "100000");
        write(
                "sys/fs/cgroup/memory/app/memory.stat",
                "active_file 0\nhierarchical_memory_limit 100000\ntotal_active_file 20000\ntotal_inactive_file 5000\n");
        assertLeft(55000, "/sys/fs/cgroup/memory/app/memory.limit_in_bytes");
    }

    @Test
    void subtractsUsageFromLimitOfV1() throws IOException {
        processIn("5:cpu,cpuacct:/other\n4:memory:/app\n0::/\n", V1_MOUNT);
        v1("sys/fs/cgroup/memory/app", "100000", 70000, 5000, "100000");
        assertLeft(35000, "/sys/fs/cgroup/memory/app/memory.limit_in_bytes");
        v1("sys/fs/cgroup/memory/app", NO_LIMIT, 70000, 5000, NO_LIMIT);
        assertOnlyTheMachineLimits();
    }

    @Test
    void readsTheLimitOfMemoryAndSwapOfV1() throws IOException {
        processIn("4:memory:/app\n", V1_MOUNT);
        v1("sys/fs/cgroup/memory/app", "100000", 70000, 5000, "100000");
        write("sys/fs/cgroup/memory/app/memory.memsw.limit_in_bytes", "120000\n");
        write("sys/fs/cgroup/memory/app/memory.memsw.usage_in_bytes", "115000\n");
        assertLeft(10000, "/sys/fs/cgroup/memory/app/memory.memsw.limit_in_bytes");
    }

    @ParameterizedTest
    @CsvSource({"10, 20, 30, a/b/c", "20, 10, 30, a/b", "20, 30, 10, a"})
    void usesTheMinimumOverAllAncestors(long own, long parent, long grandparent, String tightest) throws IOException {
        processIn("0::/a/b/c\n", V2_MOUNT);
        v2("sys/fs/cgroup/a/b/c", Long.toString(1000 + own), "max", 1000, 0);
        v2("sys/fs/cgroup/a/b", Long.toString(2000 + parent), "max", 2000, 0);
        v2("sys/fs/cgroup/a", Long.toString(3000 + grandparent), "max", 3000, 0);
        assertLeft(10, "/sys/fs/cgroup/" + tightest + "/memory.max");
    }

    @Test
    void skipsAParentWithoutTheMemoryController() throws IOException {
        processIn("0::/a/b\n", V2_MOUNT);
        Files.createDirectories(root.resolve("sys/fs/cgroup/a/b"));
        v2("sys/fs/cgroup/a", "3010", "max", 3000, 0);
        assertLeft(10, "/sys/fs/cgroup/a/memory.max");
    }

    @Test
    void readsTheVersionWithMemoryOnAHybridHost() throws IOException {
        processIn(
                "4:memory:/app\n0::/app\n", V1_MOUNT + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        Files.createDirectories(root.resolve("sys/fs/cgroup/unified/app"));
        v1("sys/fs/cgroup/memory/app", "100000", 70000, 5000, "100000");
        assertLeft(35000, "/sys/fs/cgroup/memory/app/memory.limit_in_bytes");
    }

    @Test
    void readsTheRootOfTheMountInAContainer() throws IOException {
        String mount = V1_MOUNT.replace("0:32 / /", "0:32 /docker/abc /");
        processIn("4:memory:/docker/abc/inner\n", mount);
        v1("sys/fs/cgroup/memory/inner", "2000", 1000, 0, "2000");
        v1("sys/fs/cgroup/memory", "5500", 5000, 0, "5500");
        assertLeft(500, "/sys/fs/cgroup/memory/memory.limit_in_bytes");
        processIn("4:memory:/docker/abc\n", mount);
        assertLeft(500, "/sys/fs/cgroup/memory/memory.limit_in_bytes");
    }

    @Test
    void readsHierarchicalLimitOfV1InAContainer() throws IOException {
        processIn("4:memory:/pod/abc\n", V1_MOUNT.replace("0:32 / /", "0:32 /pod/abc /"));
        v1("sys/fs/cgroup/memory", NO_LIMIT, 5000, 1000, "4700");
        assertLeft(700, "/sys/fs/cgroup/memory/memory.stat (hierarchical_memory_limit)");
    }

    /** Reading the statistics takes the kernel milliseconds. Their unrealistic values reveal whether they are read. */
    @ParameterizedTest
    @CsvSource({"/, 4026531835, false", "/, 4026532177, true", "/pod, 4026531835, true"})
    void readsStatisticsOfV1OnlyIfAncestorsMayBeHidden(String mountRoot, String namespace, boolean read)
            throws IOException {
        processIn("4:memory:/pod/abc\n", V1_MOUNT.replace("0:32 / /", "0:32 " + mountRoot + " /"));
        Path link = root.resolve("proc/self/ns/cgroup");
        Files.createDirectories(link.getParent());
        Files.createSymbolicLink(link, Path.of("cgroup:[" + namespace + "]"));
        String group = "sys/fs/cgroup/memory" + (mountRoot.equals("/") ? "/pod/abc" : "/abc");
        v1(group, NO_LIMIT, 5000, 1000, "4700");
        if (read) {
            assertLeft(700, "/" + group + "/memory.stat (hierarchical_memory_limit)");
        } else {
            assertOnlyTheMachineLimits();
        }
    }

    @Test
    void readsTheAncestorsOfEveryMountOfV1() throws IOException {
        processIn(
                "4:memory:/pod/abc\n",
                V1_MOUNT.replace("0:32 / /", "0:32 /pod/abc /")
                        + V1_MOUNT.replace("0:32 / /", "0:32 /pod /").replace("/sys/fs/cgroup", "/other"));
        v1("sys/fs/cgroup/memory", NO_LIMIT, 80000, 0, "90000");
        v1("other/memory/abc", NO_LIMIT, 9000, 0, "9500");
        assertLeft(500, "/other/memory/abc/memory.stat (hierarchical_memory_limit)");
    }

    @ParameterizedTest
    @CsvSource({"/docker/abc, /", "/docker/abc, /docker/abcd", "/.., /", "/, /../other", "/, /"})
    void usesTheMountIfItDoesNotMatchThePath(String mountRoot, String path) throws IOException {
        processIn("0::" + path + "\n", V2_MOUNT.replace("0:26 / /", "0:26 " + mountRoot + " /"));
        v2("sys/fs/cgroup", "2000", "max", 1500, 0);
        v2("sys/fs/other", "2000", "max", 1999, 0);
        v2("sys/fs/cgroupd", "2000", "max", 1999, 0);
        assertLeft(500, "/sys/fs/cgroup/memory.max");
    }

    @Test
    void unescapesSpacesAndAcceptsColons() throws IOException {
        processIn("0::/my group:1\n", V2_MOUNT.replace("/sys/fs/cgroup", "/sys/fs/c\\040group"));
        v2("sys/fs/c group/my group:1", "2000", "max", 1500, 0);
        assertLeft(500, "/sys/fs/c group/my group:1/memory.max");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "\n", "abc\n", "-1\n", "1 2\n", "0x10\n", "1e3\n", "\u0000", "1\n2\n", "Max\n"})
    void isUnknownForMalformedLimits(String garbage) throws IOException {
        processIn("0::/app\n", V2_MOUNT);
        v2("sys/fs/cgroup/app", "100000", "max", 70000, 0);
        write("sys/fs/cgroup/app/memory.max", garbage);
        assertUnreadable("/sys/fs/cgroup/app/memory.max", "");
        v2("sys/fs/cgroup/app", "100000", "max", 70000, 0);
        write("sys/fs/cgroup/app/memory.current", garbage);
        assertUnreadable("/sys/fs/cgroup/app/memory.current", "");
        v2("sys/fs/cgroup/app", "100000", "max", 70000, 0);
        write("sys/fs/cgroup/app/memory.stat", "inactive_file " + garbage.replace("1\n2", "1 2"));
        assertUnreadable("/sys/fs/cgroup/app/memory.stat", "");
        write("proc/meminfo", "MemAvailable: " + garbage.replace("1\n2", "1 2"));
        assertUnreadable("/proc/meminfo", "");
    }

    @Test
    void treatsLimitsThatOverflowALongAsNone() throws IOException {
        processIn("0::/app\n", V2_MOUNT);
        v2("sys/fs/cgroup/app", "18446744073709551615", "max", 70000, 0);
        assertOnlyTheMachineLimits();
        write("proc/meminfo", "MemAvailable: " + Long.MAX_VALUE + " kB\n");
        v2("sys/fs/cgroup/app", "100000", "max", 70000, 0);
        assertLeft(30000, "/sys/fs/cgroup/app/memory.max");
    }

    @ParameterizedTest
    @ValueSource(strings = {":", "0:", "memory", "4:memory"})
    void isUnknownForMalformedMemberships(String garbage) throws IOException {
        processIn(garbage, V2_MOUNT + V1_MOUNT);
        assertUnreadable("/proc/self/cgroup", "unexpected line: " + garbage);
    }

    @ParameterizedTest
    @ValueSource(strings = {"0::/a\u0000b", "0::a"})
    void isUnknownForMalformedGroups(String garbage) throws IOException {
        processIn(garbage, V2_MOUNT + V1_MOUNT);
        assertThat(memory.read().unreadable()).isNotNull();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                " - ",
                "- - -",
                "1 2 3 4 5 - cgroup2",
                " - cgroup2 a b",
                "1 2 3 / /a\u0000b rw - cgroup2 c rw"
            })
    void isUnknownForMalformedMounts(String garbage) throws IOException {
        processIn("0::/app\n", garbage);
        assertThat(memory.read().unreadable()).isNotNull();
    }

    /** Uses a real cgroup inside a real cgroup. This process is not in them: its membership file is made up. */
    @Test
    void readsTheLimitsOfThisMachine() throws IOException {
        Path mount = Path.of("/sys/fs/cgroup/memory");
        Path outer = mount.resolve("ksm4j-test-left-" + ProcessHandle.current().pid());
        Path inner = outer.resolve("inner");
        Path top = Files.createDirectories(root.resolve("live"));
        Path sys = Files.createSymbolicLink(top.resolve("sys"), Path.of("/sys"));
        Files.createDirectories(top.resolve("proc/self"));
        Files.copy(Path.of("/proc/meminfo"), top.resolve("proc/meminfo"));
        Files.writeString(top.resolve("proc/self/mountinfo"), V1_MOUNT);
        Files.writeString(top.resolve("proc/self/cgroup"), "4:memory:/" + mount.relativize(inner) + "\n");
        try {
            createOrSkip(outer);
            Files.createDirectory(inner);
            Files.writeString(outer.resolve("memory.limit_in_bytes"), "52428800");
            Files.writeString(inner.resolve("memory.limit_in_bytes"), "20971520");
            assertThat(new MemoryLeft(top).read())
                    .isEqualTo(new Left(
                            20971520,
                            20971520,
                            inner.resolve("memory.limit_in_bytes").toString(),
                            null));
            Files.writeString(inner.resolve("memory.limit_in_bytes"), "-1");
            Left left = new MemoryLeft(top).read();
            // The kernel's own memory for the inner cgroup is charged to the outer one.
            assertThat(left.bytes()).isBetween(50_000_000L, 52_428_800L);
            assertThat(left.limitedBy()).startsWith(outer + "/");
        } finally {
            Files.deleteIfExists(inner);
            Files.deleteIfExists(outer);
            Files.delete(sys);
        }
        assertThat(new MemoryLeft(Path.of("/")).read().bytes()).isPositive();
    }

    private static void createOrSkip(Path group) {
        try {
            Files.createDirectory(group);
        } catch (IOException e) {
            // For hosts with only version 2, RoomToUnmergeTest in integration-tests uses a real cgroup.
            boolean required = Boolean.getBoolean("ksm.required") && Files.isDirectory(group.getParent());
            Assertions.assertFalse(required, "-Dksm.required=true, but no memory cgroup can be created: " + e);
            Assumptions.abort("no memory cgroup of version 1 can be created: " + e);
        }
    }
}
