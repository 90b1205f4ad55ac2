// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.doctor;

import io.ksm4j.internal.linux.MemoryLeft;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.stats.RegionStats;
import io.ksm4j.tools.doctor.Check.Verdict;
import io.ksm4j.tools.linux.ProcMount;
import io.ksm4j.tools.output.ByteCount;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.stream.Stream;

/** Checks the files of a machine: those below {@code /}, or a tree created for a test. */
final class MachineChecks {

    private static final long GIBIBYTE = 1L << 30;

    /** Merging needs two full scans. Data that has to wait longer than this has probably changed before. */
    private static final long MAX_MERGE_SECONDS = 60;

    /** The kernel's default, {@code DEFAULT_MAX_MAP_COUNT}. */
    private static final long DEFAULT_MAX_MAP_COUNT = 65530;

    private static final String HUGE_PAGES = "sys/kernel/mm/transparent_hugepage";

    private final Path root;
    private final KsmStats machine;
    private final ProcessKsmStats process;

    MachineChecks(Path root, KsmStats machine, ProcessKsmStats process) {
        this.root = root;
        this.machine = machine;
        this.process = process;
    }

    List<Check> all() {
        List<Check> checks = new ArrayList<>();
        checks.add(kernel());
        if (machine.isAvailable()) {
            checks.add(ksmd());
            checks.add(speed());
            checks.addAll(findings());
        }
        numaNodes().ifPresent(checks::add);
        checks.add(hugePages());
        checks.add(container());
        checks.add(memoryLimit());
        checks.add(rights());
        checks.add(mappingLimit());
        processFiles().ifPresent(checks::add);
        return checks;
    }

    private Check kernel() {
        String linux = "Linux"
                + read("proc/sys/kernel/osrelease")
                        .map(release -> " " + release)
                        .orElse("");
        if (machine.isAvailable()) {
            return Check.ok("kernel", linux + " with KSM");
        }
        if (process.entries().isEmpty() && process.mergingPages().isEmpty()) {
            return Check.failed(
                    "kernel",
                    linux + " has no /sys/kernel/mm/ksm",
                    "boot a kernel with CONFIG_KSM=y (zgrep CONFIG_KSM /proc/config.gz); in a container, mount the"
                            + " host's /sys");
        }
        return Check.unknown(
                "kernel",
                linux + " has KSM, but /sys/kernel/mm/ksm is hidden, so it is unknown whether ksmd runs",
                "mount the host's /sys, read-only, into the container");
    }

    private Check ksmd() {
        if (machine.run().isEmpty()) {
            return Check.unknown(
                    "ksmd",
                    "it is unknown whether it runs, because /sys/kernel/mm/ksm/run "
                            + (isMasked() ? "is masked, as in a container" : "cannot be read"),
                    isMasked() ? "run ksm doctor outside of this container" : "run ksm doctor as root");
        }
        long run = machine.run().getAsLong();
        if (run == 1) {
            return Check.ok("ksmd", "it is running");
        }
        return Check.fixable(
                "ksmd",
                run == 2
                        ? "it is stopped and has unmerged all pages, because run is 2"
                        : "it is stopped, because run is 0",
                "echo 1 > /sys/kernel/mm/ksm/run, or ksm tune; as root");
    }

    /** {@return whether something else is mounted over the file, such as {@code /dev/null}} */
    private boolean isMasked() {
        Path run = root.resolve("sys/kernel/mm/ksm/run");
        return Files.exists(run) && machine.run().isEmpty() && Files.isReadable(run);
    }

    private Check speed() {
        if (machine.advisorMode().filter("scan-time"::equals).isPresent()) {
            long target = machine.advisorTargetScanTime().orElse(0);
            return speed(
                    2.0 * target,
                    "the kernel chooses pages_to_scan, for a full scan in " + target + " s, and merging needs two",
                    "echo " + MAX_MERGE_SECONDS / 2 + " > /sys/kernel/mm/ksm/advisor_target_scan_time; as root");
        }
        if (machine.pagesToScan().isEmpty() || machine.sleepMillisecs().isEmpty()) {
            return Check.unknown("speed", "unknown, because settings of ksmd cannot be read", "run ksm doctor as root");
        }
        long pagesToScan = machine.pagesToScan().getAsLong();
        long sleep = machine.sleepMillisecs().getAsLong();
        String settings = "pages_to_scan is " + pagesToScan + " and sleep_millisecs " + sleep;
        String cure = "ksm tune --policy converge, or echo 5000 > /sys/kernel/mm/ksm/pages_to_scan; as root";
        if (pagesToScan == 0) {
            return Check.fixable("speed", "ksmd scans no pages: " + settings, cure);
        }
        double pages = Math.max(machine.rmapItems().orElse(0), GIBIBYTE / Math.max(1, machine.pageSize()));
        double seconds = 2.0 * Math.ceil(pages / pagesToScan) * sleep / 1000;
        return speed(
                seconds,
                String.format(
                        Locale.ROOT,
                        "two full scans of %s, which merging needs, sleep %.0f s: %s",
                        ByteCount.text((long) (pages * machine.pageSize())),
                        seconds,
                        settings),
                cure);
    }

    private static Check speed(double seconds, String found, String cure) {
        return seconds <= MAX_MERGE_SECONDS ? Check.ok("speed", found) : Check.warning("speed", found, cure);
    }

    /**
     * Applies the library's rules to the machine's counters. While {@code ksmd} is stopped, the counters are outdated.
     */
    private List<Check> findings() {
        List<Check> checks = new ArrayList<>();
        boolean runs = machine.run().orElse(1) == 1;
        for (Finding finding : Finding.of(machine, process, RegionStats.NONE, Optional.empty())) {
            if (finding.scope() == Finding.Scope.MACHINE
                    && finding.kind() != Finding.Kind.KSMD_STOPPED
                    && (runs || finding.kind() == Finding.Kind.MAX_PAGE_SHARING)) {
                checks.add(new Check(
                        finding.kind().name().toLowerCase(Locale.ROOT).replace('_', '-'),
                        Verdict.WARNING,
                        finding.reason(),
                        finding.remedy()));
            }
        }
        return checks;
    }

    private Optional<Check> numaNodes() {
        // Such as 0-1 or 0,8.
        String nodes = read("sys/devices/system/node/has_memory")
                .or(() -> read("sys/devices/system/node/online"))
                .orElse("0");
        if (machine.mergeAcrossNodes().orElse(1) != 0 || nodes.matches("\\d*")) {
            return Optional.empty();
        }
        return Optional.of(Check.warning(
                "numa-nodes",
                "equal pages on different NUMA nodes do not merge, because merge_across_nodes is 0",
                "if saving matters more than latency: echo 2 > /sys/kernel/mm/ksm/run, echo 1 >"
                        + " /sys/kernel/mm/ksm/merge_across_nodes, echo 1 > /sys/kernel/mm/ksm/run; as root"));
    }

    private Check hugePages() {
        Map<String, String> settings = hugePageSettings();
        for (Map.Entry<String, String> setting : settings.entrySet()) {
            if (setting.getValue().contains("[always]")) {
                return Check.warning(
                        "huge-pages",
                        "all large mappings get huge pages, which ksmd must split before they merge, and which"
                                + " khugepaged creates again",
                        "HugePages.AVOID for regions of ksm4j, or, for all programs, echo madvise > /"
                                + setting.getKey() + "; as root");
            }
        }
        return Check.ok(
                "huge-pages",
                settings.values().stream().anyMatch(setting -> setting.contains("[madvise]"))
                        ? "only for programs that request them"
                        : "disabled");
    }

    /**
     * Returns the settings by file. Since Linux 6.8, each size has its own setting, which may inherit the common one.
     */
    private Map<String, String> hugePageSettings() {
        String forAll = HUGE_PAGES + "/enabled";
        Map<String, String> settings = new TreeMap<>();
        String[] names = root.resolve(HUGE_PAGES).toFile().list((directory, name) -> name.startsWith("hugepages-"));
        for (String name : names == null ? new String[0] : names) {
            String file = HUGE_PAGES + "/" + name + "/enabled";
            read(file).ifPresent(setting -> settings.put(file, setting));
        }
        boolean decidesForSome = settings.isEmpty() || settings.values().removeIf(text -> text.contains("[inherit]"));
        if (decidesForSome) {
            settings.put(forAll, read(forAll).orElse("never"));
        }
        return settings;
    }

    private Check container() {
        boolean inContainer = Stream.of(".dockerenv", "run/.containerenv", "run/secrets/kubernetes.io")
                .anyMatch(file -> Files.exists(root.resolve(file)));
        String place = inContainer ? "in a container, which shares ksmd with the host" : "no container found";
        return isSysReadOnly()
                ? Check.warning(
                        "container",
                        (inContainer ? "in a container whose /sys is" : "/sys is")
                                + " read-only: settings cannot be changed here",
                        "run ksm tune on the host, or mount its /sys writable")
                : Check.ok("container", place);
    }

    /**
     * Examines the last mount that contains the files; its options are the sixth word of its line
     * (proc_pid_mountinfo(5)).
     */
    private boolean isSysReadOnly() {
        String best = "";
        boolean readOnly = false;
        for (String line : read("proc/self/mountinfo").orElse("").split("\n", -1)) {
            String[] words = line.split(" ", -1);
            if (words.length > 5
                    && (words[4].equals("/sys") || words[4].startsWith("/sys/"))
                    && "/sys/kernel/mm/ksm/".startsWith(words[4] + "/")
                    && words[4].length() >= best.length()) {
                best = words[4];
                readOnly = ("," + words[5] + ",").contains(",ro,");
            }
        }
        return readOnly;
    }

    private Check memoryLimit() {
        MemoryLeft.Left left = new MemoryLeft(root).read();
        if (left.unreadable() != null) {
            return Check.warning(
                    "memory-limit",
                    "the limit in " + left.limitedBy() + " cannot be read: " + left.unreadable()
                            + ". Unmerge.CHECKED then refuses to unmerge",
                    "cat " + left.limitedBy());
        }
        if (left.limit() == Long.MAX_VALUE) {
            return Check.ok(
                    "memory-limit",
                    "no cgroup leaves this process less than the " + ByteCount.text(left.bytes()) + " in "
                            + left.limitedBy());
        }
        String found = ByteCount.text(left.bytes()) + " are left of the " + ByteCount.text(left.limit()) + " that "
                + left.limitedBy() + " allows";
        return left.bytes() < left.limit() / 10
                ? Check.warning(
                        "memory-limit",
                        found + ", and unmerging needs the memory that merging saved",
                        "raise the limit, or merge less in this cgroup")
                : Check.ok("memory-limit", found);
    }

    private Check rights() {
        Path run = root.resolve("sys/kernel/mm/ksm/run");
        if (!machine.isAvailable() || (Files.isWritable(run) && !isMasked())) {
            return Check.ok(
                    "rights",
                    machine.isAvailable() ? "this user may change settings" : "there are no settings to change");
        }
        return Check.warning(
                "rights",
                "this user may mark memory and read counters, but not change settings of ksmd",
                "run ksm tune as root, on the host");
    }

    private Check mappingLimit() {
        OptionalLong limit = number("proc/sys/vm/max_map_count");
        if (limit.isEmpty()) {
            return Check.warning(
                    "mapping-limit", "vm.max_map_count cannot be read", "run sysctl vm.max_map_count on the host");
        }
        String found =
                "a process may have " + limit.getAsLong() + " mappings, and each separate marked range may need two";
        return limit.getAsLong() < DEFAULT_MAX_MAP_COUNT
                ? Check.warning("mapping-limit", found, "sysctl -w vm.max_map_count=262144; as root")
                : Check.ok("mapping-limit", found);
    }

    private Optional<Check> processFiles() {
        ProcMount proc = ProcMount.read(root);
        if (proc.showsProcessesAlone()) {
            return Optional.of(Check.warning(
                    "proc",
                    "/proc shows only processes, because it is mounted with subset=pid: limits and counters of the"
                            + " machine are hidden",
                    "run ksm doctor where /proc is mounted without subset=pid"));
        }
        return proc.hidesOthers()
                ? Optional.of(Check.warning(
                        "proc",
                        "/proc hides processes of other users, because it is mounted with hidepid",
                        "run ksm status as root"))
                : Optional.empty();
    }

    private OptionalLong number(String file) {
        try {
            return OptionalLong.of(Long.parseLong(read(file).orElse("")));
        } catch (NumberFormatException e) {
            return OptionalLong.empty();
        }
    }

    private Optional<String> read(String file) {
        try {
            // By lines: a file below /proc/sys ends after the single byte that Files.readString reads first. Names of
            // mounts may contain any bytes.
            return Optional.of(String.join("\n", Files.readAllLines(root.resolve(file), StandardCharsets.ISO_8859_1))
                    .strip());
        } catch (IOException e) {
            return Optional.empty();
        }
    }
}
