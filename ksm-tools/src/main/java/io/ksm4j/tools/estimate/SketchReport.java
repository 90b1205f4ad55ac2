// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.tools.output.ByteCount;
import io.ksm4j.tools.output.Json;
import io.ksm4j.tools.sketch.Sketch;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Prints what has been sketched. */
record SketchReport(List<Sketch> sketches, long pageSize) {

    /** Prints one line of JSON. Names stay; new ones may be added. */
    void printJson() {
        System.out.println(
                Json.of(Map.of("processes", sketches.stream().map(this::json).toList())));
    }

    private Map<String, Object> json(Sketch sketch) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("pid", sketch.pid());
        values.put("name", sketch.name());
        values.put("group", sketch.group());
        values.put("memoryBytes", sketch.memory());
        values.put("candidateBytes", candidateBytes(sketch));
        values.put("contentBytes", contentBytes(sketch));
        values.put("sampling", sketch.sample().sampling());
        return values;
    }

    /** Prints a table of processes. */
    void print() {
        System.out.printf(
                "%10s %11s %11s %11s %9s  %-20s %s%n",
                "PID", "MEMORY", "CANDIDATES", "CONTENTS", "SAMPLED", "GROUP", "NAME");
        for (Sketch sketch : sketches) {
            System.out.printf(
                    "%10d %11s %11s %11s %9s  %-20s %s%n",
                    sketch.pid(),
                    ByteCount.text(sketch.memory()),
                    ByteCount.text(candidateBytes(sketch)),
                    ByteCount.text(contentBytes(sketch)),
                    sampled(sketch.sample().sampling()),
                    sketch.group(),
                    sketch.name());
        }
    }

    private static String sampled(double sampling) {
        return sampling == 1 ? "all" : String.format(Locale.ROOT, "1/%.1f", sampling);
    }

    private long candidateBytes(Sketch sketch) {
        return (sketch.pages() + sketch.shared()) * pageSize;
    }

    /** Returns the size of one page of each content, without zeros. */
    private long contentBytes(Sketch sketch) {
        return Math.round(sketch.sample().contents() * pageSize);
    }
}
