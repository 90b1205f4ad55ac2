package io.ksm4j.tools;

import io.ksm4j.stats.KsmStats;
import java.time.ZoneOffset;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;

/** What commands read, and the names that numbers have in JSON, which docs/command.md explains. Names stay; new ones may come. */
final class Readings {

    private Readings() {}

    /**
     * Reads the machine's numbers.
     *
     * @throws CommandFailedException if the kernel has no KSM, or it is hidden
     * @throws java.io.UncheckedIOException if a file cannot be read, or holds something else than it should
     */
    static KsmStats machine() {
        KsmStats machine = KsmStats.read();
        if (!machine.isAvailable()) {
            throw new CommandFailedException("there is no /sys/kernel/mm/ksm: ksm doctor says why");
        }
        return machine;
    }

    /** What {@code --json} prints of machine and processes. */
    static Map<String, Object> of(KsmStats machine, Processes processes) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("machine", of(machine));
        values.put("processes", of(processes.known()));
        values.put("hiddenProcesses", processes.hidden());
        return values;
    }

    /** What {@code ksm top --json} prints of a sample. */
    static Map<String, Object> of(Sample sample, Processes processes) {
        Map<String, Object> values = new LinkedHashMap<>();
        // Instant's own text has a fraction of a second only where it is not zero.
        values.put(
                "time",
                String.format(Locale.ROOT, "%1$tFT%1$tT.%1$tLZ", sample.time().atOffset(ZoneOffset.UTC)));
        values.put("ksmdCpuPercent", sample.ksmdPercent());
        values.put("pagesScannedPerSecond", sample.pagesPerSecond());
        values.putAll(of(sample.machine(), processes));
        return values;
    }

    private static Map<String, Object> of(KsmStats machine) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("pageSize", machine.pageSize());
        values.put("run", machine.run());
        values.put("pagesToScan", machine.pagesToScan());
        values.put("sleepMillisecs", machine.sleepMillisecs());
        values.put("advisorMode", machine.advisorMode());
        values.put("smartScan", machine.smartScan());
        values.put("useZeroPages", machine.useZeroPages());
        values.put("maxPageSharing", machine.maxPageSharing());
        values.put("mergeAcrossNodes", machine.mergeAcrossNodes());
        values.put("pagesShared", machine.pagesShared());
        values.put("pagesSharing", machine.pagesSharing());
        values.put("pagesUnshared", machine.pagesUnshared());
        values.put("pagesVolatile", machine.pagesVolatile());
        values.put("zeroPages", machine.ksmZeroPages());
        values.put("pagesScanned", machine.pagesScanned());
        values.put("pagesSkipped", machine.pagesSkipped());
        values.put("fullScans", machine.fullScans());
        values.put("copiesOnWrite", machine.cowKsm());
        values.put("savedBytes", machine.savedBytes());
        values.put("usedBytes", machine.usedBytes());
        values.put("costBytes", cost(machine.savedBytes(), machine.profitBytes()));
        values.put("profitBytes", machine.profitBytes());
        return values;
    }

    private static List<Map<String, Object>> of(List<ProcessInfo> processes) {
        return processes.stream().map(Readings::of).toList();
    }

    static Map<String, Object> of(ProcessInfo process) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("pid", process.pid());
        values.put("name", process.name());
        values.put("mergeable", process.stats().mergeable());
        values.put("mergeAny", process.stats().mergeAny());
        values.put("mergingPages", process.stats().mergingPages());
        values.put("zeroPages", process.stats().zeroPages());
        values.put("rmapItems", process.stats().rmapItems());
        values.put("mergedBytes", process.stats().mergedBytes());
        values.put("costBytes", cost(process));
        values.put("profitBytes", process.stats().profitBytes());
        values.put("stale", Processes.isStale(process.stats()));
        return values;
    }

    /** What the kernel's records of a process occupy, in bytes. */
    static OptionalLong cost(ProcessInfo process) {
        return cost(process.stats().mergedBytes(), process.stats().profitBytes());
    }

    /** What the kernel's records occupy, in bytes: the difference between saving and profit. */
    static OptionalLong cost(OptionalLong saved, OptionalLong profit) {
        return saved.isPresent() && profit.isPresent()
                ? OptionalLong.of(saved.getAsLong() - profit.getAsLong())
                : OptionalLong.empty();
    }
}
