// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.status;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.linux.MallocArenas;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The JSON names of counters and settings, which docs/command.md explains. Names do not change; names may be added.
 */
public final class StatusJson {

    private StatusJson() {}

    /** Returns what {@code --json} prints about the machine and processes. */
    public static Map<String, Object> of(KsmStats machine, Processes processes) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("machine", of(machine));
        values.put("processes", of(processes.known()));
        values.put("hiddenProcesses", processes.hidden());
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
        values.put("costBytes", MachineStatus.costBytes(machine));
        values.put("profitBytes", machine.profitBytes());
        return values;
    }

    private static List<Map<String, Object>> of(List<ProcessInfo> processes) {
        return processes.stream().map(StatusJson::of).toList();
    }

    public static Map<String, Object> of(ProcessInfo process) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("pid", process.pid());
        values.put("name", process.name());
        values.put("mergeable", process.stats().mergeable());
        values.put("mergeAny", process.stats().mergeAny());
        values.put("mergingPages", process.stats().mergingPages());
        values.put("zeroPages", process.stats().zeroPages());
        values.put("rmapItems", process.stats().rmapItems());
        values.put("mergedBytes", process.stats().mergedBytes());
        values.put("costBytes", process.costBytes());
        values.put("profitBytes", process.stats().profitBytes());
        values.put("stale", Processes.isStale(process.stats()));
        return values;
    }

    static Map<String, Object> of(MallocArenas malloc) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("arenaBytes", malloc.bytes());
        values.put("arenaMergedBytes", malloc.mergedBytes());
        values.put("isThresholdFixed", malloc.isThresholdFixed());
        return values;
    }
}
