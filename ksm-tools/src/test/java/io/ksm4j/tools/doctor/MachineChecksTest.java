// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.doctor;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.tools.doctor.Check.Verdict;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Machines made of files, in states that the test machine cannot have. */
class MachineChecksTest {

    private static final long GIBIBYTE = 1 << 30;

    @TempDir
    private Path root;

    @BeforeEach
    void aMachineWithoutProblems() throws IOException {
        write("sys/kernel/mm/ksm/run", "1");
        write("sys/kernel/mm/ksm/pages_to_scan", "5000");
        write("sys/kernel/mm/ksm/sleep_millisecs", "20");
        write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never");
        write("proc/sys/kernel/osrelease", "6.18.0");
        write("proc/sys/vm/max_map_count", "65530");
        write("proc/1/ksm_stat", "ksm_rmap_items 0");
        write("proc/self/cgroup", "0::/");
        write("proc/meminfo", "MemTotal:       16777216 kB\nMemAvailable:    4194304 kB");
        Files.createSymbolicLink(
                Files.createDirectories(root.resolve("proc/self/ns")).resolve("cgroup"),
                Path.of("cgroup:[4026531835]"));
    }

    private void write(String file, String text) throws IOException {
        Files.createDirectories(root.resolve(file).getParent());
        Files.writeString(root.resolve(file), text + "\n");
    }

    private MachineChecks checks() {
        return new MachineChecks(root, KsmStats.read(root, 4096), ProcessKsmStats.read(root, 1, 4096));
    }

    private Check check(String name) {
        return checks().all().stream()
                .filter(check -> check.name().equals(name))
                .findAny()
                .orElseGet(() -> Check.ok(name, "no problem"));
    }

    private void assertOk(String name, String reason) {
        assertThat(check(name)).isEqualTo(Check.ok(name, reason));
    }

    private Check assertVerdict(Verdict verdict, String name) {
        Check check = check(name);
        assertThat(check.verdict()).as(check.toString()).isEqualTo(verdict);
        assertThat(check.cure()).isNotEmpty();
        return check;
    }

    @Test
    void aMachineWithoutProblemsPassesAllChecks() {
        assertThat(checks().all())
                .isNotEmpty()
                .allSatisfy(check -> assertThat(check.verdict()).isEqualTo(Verdict.OK))
                .allSatisfy(check -> assertThat(check.cure()).isEmpty());
        assertOk("kernel", "Linux 6.18.0 with KSM");
    }

    @Test
    void aKernelWithoutKsmFailsAndHiddenFilesAreUnknown() throws IOException {
        Files.move(root.resolve("sys/kernel/mm/ksm"), root.resolve("hidden"));
        assertThat(assertVerdict(Verdict.UNKNOWN, "kernel").cure()).contains("mount the host's /sys");
        assertOk("rights", "there are no settings to change");

        Files.delete(root.resolve("proc/1/ksm_stat"));
        assertThat(assertVerdict(Verdict.FAILED, "kernel").cure()).contains("CONFIG_KSM=y");

        write("proc/1/ksm_merging_pages", "0");
        assertThat(assertVerdict(Verdict.UNKNOWN, "kernel").reason())
                .as("on Linux 5.19")
                .contains("is hidden");
    }

    @Test
    void aKsmdThatHasUnmergedAllPagesIsFixable() throws IOException {
        write("sys/kernel/mm/ksm/run", "2");

        assertThat(assertVerdict(Verdict.FIXABLE, "ksmd").reason()).contains("unmerged all pages");
    }

    @Test
    void unreadableSettingsAreUnknown() throws IOException {
        Files.delete(root.resolve("sys/kernel/mm/ksm/run"));
        Files.delete(root.resolve("sys/kernel/mm/ksm/pages_to_scan"));

        assertVerdict(Verdict.UNKNOWN, "ksmd");
        assertVerdict(Verdict.UNKNOWN, "speed");
    }

    /** Container runtimes mask files with {@code /dev/null}. */
    @Test
    void aMaskedFileIsUnknown() throws IOException {
        Files.write(root.resolve("sys/kernel/mm/ksm/run"), new byte[0]);

        assertThat(assertVerdict(Verdict.UNKNOWN, "ksmd").reason()).contains("is masked");
        assertVerdict(Verdict.WARNING, "rights");
        assertThat(Diagnosis.of(checks().all())).isEqualTo(Diagnosis.UNKNOWN);
    }

    @Test
    void aStoppedKsmdIsFixableAndItsCountersAreIgnored() throws IOException {
        write("sys/kernel/mm/ksm/run", "0");
        write("sys/kernel/mm/ksm/pages_unshared", "17");
        write("sys/kernel/mm/ksm/pages_sharing", "0");
        write("sys/kernel/mm/ksm/pages_shared", "0");
        write("sys/kernel/mm/ksm/pages_volatile", "31");
        write("sys/kernel/mm/ksm/general_profit", "-1088");

        List<Check> checks = checks().all();

        assertThat(checks).extracting(Check::verdict).containsOnly(Verdict.OK, Verdict.FIXABLE);
        assertThat(Diagnosis.of(checks)).isEqualTo(Diagnosis.FIXABLE);
    }

    @Test
    void countersOfFewPagesGiveNoWarning() throws IOException {
        write("sys/kernel/mm/ksm/pages_sharing", "0");
        write("sys/kernel/mm/ksm/pages_shared", "0");
        write("sys/kernel/mm/ksm/pages_unshared", "17");
        write("sys/kernel/mm/ksm/pages_volatile", "31");
        write("sys/kernel/mm/ksm/general_profit", "-1088");
        assertThat(checks().all()).extracting(Check::verdict).containsOnly(Verdict.OK);

        write("sys/kernel/mm/ksm/pages_unshared", "4096");
        write("sys/kernel/mm/ksm/pages_volatile", "8192");
        write("sys/kernel/mm/ksm/general_profit", "-786432");
        assertThat(assertVerdict(Verdict.WARNING, "negative-profit").reason())
                .isEqualTo("merging costs 768.0 KiB more than it saves");
        assertThat(assertVerdict(Verdict.WARNING, "volatile-pages").reason()).startsWith("67 % of the marked pages ");
        assertThat(assertVerdict(Verdict.WARNING, "wasted-effort").reason())
                .isEqualTo("ksmd has scanned 16.0 MiB, and none of it has merged");
    }

    @Test
    void aRestrictedProcMountGivesAWarning() throws IOException {
        write("proc/self/status", "CapEff:\t0000000000000000\nGid:\t7\t7\t7\t7\nGroups:\t");
        write("proc/self/mountinfo", "62 44 0:38 / /proc rw,relatime - proc proc rw,hidepid=invisible,gid=4");
        assertThat(assertVerdict(Verdict.WARNING, "proc").reason()).contains("hides processes of other users");

        write("proc/self/status", "CapEff:\t0000000000000000\nGid:\t7\t7\t7\t7\nGroups:\t4 9");
        assertOk("proc", "no problem");

        write("proc/self/mountinfo", "62 44 0:38 / /proc rw,relatime - proc proc rw,hidepid=4,gid=4");
        assertVerdict(Verdict.WARNING, "proc");

        write("proc/self/status", "CapEff:\t0000000000080000\nGid:\t7\t7\t7\t7\nGroups:\t");
        assertOk("proc", "no problem");

        write("proc/self/mountinfo", "62 44 0:38 / /proc rw,relatime - proc proc rw,subset=pid");
        assertThat(assertVerdict(Verdict.WARNING, "proc").reason()).contains("subset=pid");
    }

    @Test
    void speedIsBasedOnTwoScansOfTheKnownPages() throws IOException {
        assertOk(
                "speed",
                "two full scans of 1.0 GiB, which merging needs, sleep 2 s: pages_to_scan is 5000 and"
                        + " sleep_millisecs 20");

        for (String count : new String[] {"shared", "sharing", "volatile"}) {
            write("sys/kernel/mm/ksm/pages_" + count, "0");
        }
        write("sys/kernel/mm/ksm/pages_unshared", Long.toString(64 * GIBIBYTE / 4096));
        assertThat(assertVerdict(Verdict.WARNING, "speed").reason()).startsWith("two full scans of 64.0 GiB");
        assertThat(assertVerdict(Verdict.WARNING, "negative-profit").cure())
                .isEqualTo("unmark memory that has no copies");

        write("sys/kernel/mm/ksm/pages_unshared", Long.toString(Long.MAX_VALUE / 2));
        assertThat(assertVerdict(Verdict.WARNING, "speed").reason()).startsWith("two full scans of 8.0 EiB");
    }

    @Test
    void theAdvisorIsCheckedWithTheSameLimit() throws IOException {
        write("sys/kernel/mm/ksm/advisor_mode", "none [scan-time]");
        write("sys/kernel/mm/ksm/advisor_target_scan_time", "30");
        assertOk("speed", "the kernel chooses pages_to_scan, for a full scan in 30 s, and merging needs two");

        write("sys/kernel/mm/ksm/advisor_target_scan_time", "200");
        assertThat(assertVerdict(Verdict.WARNING, "speed").cure())
                .isEqualTo("echo 30 > /sys/kernel/mm/ksm/advisor_target_scan_time; as root");
    }

    @Test
    void hugePagesForAllMemoryGiveAWarning() throws IOException {
        write("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never");
        assertThat(assertVerdict(Verdict.WARNING, "huge-pages").cure()).contains("HugePages.AVOID");

        Files.delete(root.resolve("sys/kernel/mm/transparent_hugepage/enabled"));
        assertOk("huge-pages", "disabled");
    }

    @Test
    void eachHugePageSizeMayHaveItsOwnSetting() throws IOException {
        write("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]");
        write("sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled", "[always] inherit madvise never");
        assertThat(assertVerdict(Verdict.WARNING, "huge-pages").cure()).contains("/hugepages-64kB/enabled");

        write("sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled", "always inherit [madvise] never");
        assertOk("huge-pages", "only for programs that request them");

        write("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never");
        assertOk("huge-pages", "only for programs that request them");

        write("sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled", "always [inherit] madvise never");
        assertVerdict(Verdict.WARNING, "huge-pages");
    }

    @Test
    void separateNumaNodesGiveAWarning() throws IOException {
        write("sys/kernel/mm/ksm/merge_across_nodes", "0");
        assertThat(check("numa-nodes").verdict()).as("with one node").isEqualTo(Verdict.OK);

        write("sys/devices/system/node/online", "0-1");
        assertVerdict(Verdict.WARNING, "numa-nodes");

        write("sys/devices/system/node/has_memory", "0");
        assertThat(check("numa-nodes").verdict()).as("with memory on one node").isEqualTo(Verdict.OK);

        write("sys/devices/system/node/has_memory", "0,8");
        assertVerdict(Verdict.WARNING, "numa-nodes");
    }

    @Test
    void aReadOnlySysGivesAWarning() throws IOException {
        write(".dockerenv", "");
        assertOk("container", "in a container, which shares ksmd with the host");

        write("proc/self/mountinfo", """
                23 27 0:22 / /sys rw,relatime - sysfs sysfs rw
                24 23 0:22 / /sys ro,nosuid - sysfs sysfs rw
                25 23 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup rw""");
        assertThat(assertVerdict(Verdict.WARNING, "container").cure()).contains("on the host");

        Files.write(
                root.resolve("proc/self/mountinfo"), new byte[] {'/', (byte) 0xe9, '\n'}, StandardOpenOption.APPEND);
        assertThat(check("container").verdict())
                .as("with a name of other bytes")
                .isEqualTo(Verdict.WARNING);

        write("proc/self/mountinfo", """
                23 27 0:22 / /sys ro - sysfs sysfs rw
                24 23 0:22 / /sys/kernel/mm/ksm rw - sysfs sysfs rw""");
        assertThat(check("container").verdict()).isEqualTo(Verdict.OK);
    }

    private void processInTenantsOne() throws IOException {
        write("proc/self/cgroup", "0::/tenants/one");
        write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
        write("sys/fs/cgroup/tenants/memory.max", Long.toString(GIBIBYTE));
        write("sys/fs/cgroup/tenants/memory.current", Long.toString(GIBIBYTE - 1000));
        write("sys/fs/cgroup/tenants/memory.stat", "anon 4096");
        write("sys/fs/cgroup/tenants/one/memory.max", "max");
        write("sys/fs/cgroup/tenants/one/memory.current", "4096");
    }

    @Test
    void aParentCgroupMayHaveLessMemoryLeft() throws IOException {
        processInTenantsOne();
        assertThat(assertVerdict(Verdict.WARNING, "memory-limit").reason())
                .startsWith("1000 B are left of the 1.0 GiB that /sys/fs/cgroup/tenants/memory.max allows, ");

        write("sys/fs/cgroup/tenants/memory.stat", "anon 4096\nactive_file 536870912\ninactive_file 0");
        assertOk("memory-limit", "512.0 MiB are left of the 1.0 GiB that /sys/fs/cgroup/tenants/memory.max allows");

        write("sys/fs/cgroup/tenants/memory.max", "max");
        assertOk(
                "memory-limit", "no cgroup leaves this process less than the 4.0 GiB in MemAvailable of /proc/meminfo");
    }

    @Test
    void anUnreadableLimitGivesAWarning() throws IOException {
        processInTenantsOne();
        write("sys/fs/cgroup/tenants/memory.max", "many");
        assertThat(assertVerdict(Verdict.WARNING, "memory-limit").reason())
                .startsWith("the limit in /sys/fs/cgroup/tenants/memory.max cannot be read: ")
                .contains("\"many\"");
        write("proc/self/cgroup", "garbage");
        assertThat(assertVerdict(Verdict.WARNING, "memory-limit").reason()).contains("/proc/self/cgroup");
    }

    @Test
    void invalidContentIsNotTakenAsAnAnswer() throws IOException {
        write("proc/self/mountinfo", "garbage\n\n1 2 3");
        write("proc/sys/vm/max_map_count", "lots");

        assertThat(assertVerdict(Verdict.WARNING, "mapping-limit").reason())
                .isEqualTo("vm.max_map_count cannot be read");
        assertThat(check("container").verdict()).isEqualTo(Verdict.OK);
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void readsTheMappingLimitOfThisMachine() throws IOException {
        String limit = Files.readAllLines(Path.of("/proc/sys/vm/max_map_count")).get(0);

        List<Check> checks = new MachineChecks(Path.of("/"), KsmStats.read(), ProcessKsmStats.read()).all();

        assertThat(checks)
                .extracting(Check::reason)
                .anyMatch(reason -> reason.startsWith("a process may have " + limit + " mappings,"));
    }

    @Test
    void aLowMappingLimitGivesAWarning() throws IOException {
        write("proc/sys/vm/max_map_count", "1000");

        assertThat(assertVerdict(Verdict.WARNING, "mapping-limit").cure()).startsWith("sysctl ");
    }
}
