// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import io.ksm4j.tools.output.ByteCount;
import io.ksm4j.tools.output.Json;
import io.ksm4j.tools.place.Placement.Host;
import io.ksm4j.tools.place.Placement.Pair;
import io.ksm4j.tools.sketch.Sketch;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Prints a placement. */
record PlacementReport(Placement placement, Kubernetes kubernetes) {

    /** Prints one line of JSON. Names stay; new ones may be added. */
    void printJson() {
        Saving total = placement.total();
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("pageSize", placement.fleet().machine().pageSize());
        values.put("hostLimit", placement.task().hosts());
        values.put("memoryLimitBytes", (long) placement.task().maxMemory());
        values.put("evenAcrossBytes", placement.evenly().across());
        values.putAll(json(total));
        values.put("pairs", placement.pairs().stream().map(this::json).toList());
        values.put("groups", groups());
        values.put("hosts", placement.hosts().stream().map(this::json).toList());
        values.put(
                "kubernetes",
                kubernetes.specifications().entrySet().stream()
                        .map(group -> {
                            Map<String, Object> object = new LinkedHashMap<>();
                            object.put("group", group.getKey());
                            object.put("spec", group.getValue());
                            return object;
                        })
                        .toList());
        System.out.println(Json.of(values));
    }

    private static Map<String, Object> json(Saving saving) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("withinBytes", saving.within());
        values.put("acrossBytes", saving.across());
        values.put("savedBytes", saving.saved());
        values.put("errorBytes", saving.error());
        values.put("costBytes", saving.cost());
        values.put("profitBytes", saving.profit());
        return values;
    }

    private Map<String, Object> json(Pair pair) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("first", placement.name(pair.first()));
        values.put("second", placement.name(pair.second()));
        values.putAll(json(pair.saving()));
        return values;
    }

    private List<Object> groups() {
        List<Object> groups = new ArrayList<>();
        for (int group = 0; group < placement.groups().size(); group++) {
            Map<String, Object> values = new LinkedHashMap<>();
            values.put("group", placement.groups().get(group));
            values.put("size", sizeOf(group));
            values.putAll(json(placement.byGroup().get(group)));
            groups.add(values);
        }
        return groups;
    }

    private Map<String, Object> json(Host host) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("memoryBytes", host.memory());
        values.putAll(json(host.saving()));
        values.put("processes", host.members().stream().map(this::process).toList());
        return values;
    }

    private Map<String, Object> process(int member) {
        Sketch sketch = placement.sketch(member);
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("process", placement.name(member));
        values.put("pid", sketch.pid());
        values.put("name", sketch.name());
        values.put("group", sketch.group());
        values.put("memoryBytes", sketch.memory());
        return values;
    }

    private long sizeOf(int group) {
        return placement.fleet().members().stream()
                .filter(member ->
                        member.sketch().group().equals(placement.groups().get(group)))
                .count();
    }

    /** Prints pairs, groups, hosts, what they save in all, and what Kubernetes needs to know. */
    void print() {
        printPairs();
        printGroups();
        printHosts();
        Saving total = placement.total();
        line(
                "saved",
                ByteCount.text(total.saved()) + ": " + ByteCount.text(total.within()) + " within processes and "
                        + ByteCount.text(total.across()) + " across");
        line(
                "evenly",
                ByteCount.text(placement.evenly().across())
                        + " across if memory were distributed evenly, whatever is in it");
        if (total.error() > 0) {
            line(
                    "sampled",
                    "the real saving is within " + ByteCount.text(total.error())
                            + " of the estimate in 19 of 20 cases");
        }
        line("cost", ByteCount.text(total.cost()) + " of kernel records");
        line("profit", ByteCount.text(total.profit()));
        String yaml = kubernetes.yaml();
        if (!yaml.isEmpty()) {
            System.out.println();
            System.out.print(yaml);
        }
    }

    private void printPairs() {
        if (placement.pairs().isEmpty()) {
            return;
        }
        System.out.printf("%11s %11s  %s%n", "ACROSS", "SAVED", "PAIR");
        for (Pair pair : placement.pairs()) {
            System.out.printf(
                    "%11s %11s  %s %s%n",
                    ByteCount.text(pair.saving().across()),
                    ByteCount.text(pair.saving().saved()),
                    placement.name(pair.first()),
                    placement.name(pair.second()));
        }
        System.out.println();
    }

    private void printGroups() {
        System.out.printf("%11s %11s %10s  %s%n", "ACROSS", "SAVED", "PROCESSES", "GROUP");
        for (int group = 0; group < placement.groups().size(); group++) {
            Saving saving = placement.byGroup().get(group);
            System.out.printf(
                    "%11s %11s %10d  %s%n",
                    ByteCount.text(saving.across()),
                    ByteCount.text(saving.saved()),
                    sizeOf(group),
                    placement.groups().get(group));
        }
        System.out.println();
    }

    private void printHosts() {
        System.out.printf("%11s %11s %11s  %s%n", "ACROSS", "SAVED", "MEMORY", "HOST");
        for (Host host : placement.hosts()) {
            System.out.printf(
                    "%11s %11s %11s  %s%n",
                    ByteCount.text(host.saving().across()),
                    ByteCount.text(host.saving().saved()),
                    ByteCount.text(host.memory()),
                    host.members().stream().map(placement::name).collect(Collectors.joining(" ")));
        }
        System.out.println();
    }

    private static void line(String name, String value) {
        System.out.printf("%-10s  %s%n", name, value);
    }
}
