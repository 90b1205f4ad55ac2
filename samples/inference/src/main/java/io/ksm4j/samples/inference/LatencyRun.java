// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

import io.ksm4j.samples.measurement.KsmdControl;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * The latency of inference of all variants.
 *
 * @param before before merging
 * @param after when merging has settled, and {@code ksmd} has its settings back
 * @param isSettled whether merging settled before the limit
 */
record LatencyRun(Map<Variant, Latencies> before, Map<Variant, Latencies> after, boolean isSettled) {

    /** So few that other load of the machine affects all variants alike. */
    private static final int AT_ONCE = 10;

    /** Starts the JVMs of all variants, measures them in turn, and stops them. */
    static LatencyRun measure(ModelJvms.Settings settings, int inferences, KsmdControl ksmd)
            throws IOException, InterruptedException {
        List<ModelJvms> all = new ArrayList<>();
        try {
            for (Variant variant : Variant.values()) {
                ModelJvms running = new ModelJvms(variant, settings);
                all.add(running);
                running.start();
            }
            Map<Variant, Latencies> before = infer(all, inferences);
            for (ModelJvms running : all) {
                if (running.variant.merges()) {
                    running.awaitMarks();
                }
            }
            boolean isSettled = ksmd.awaitSettled();
            return new LatencyRun(before, infer(all, inferences), isSettled);
        } finally {
            all.forEach(ModelJvms::close);
        }
    }

    private static Map<Variant, Latencies> infer(List<ModelJvms> all, int inferences) throws IOException {
        Map<Variant, List<Long>> nanos = new EnumMap<>(Variant.class);
        for (int left = inferences; left > 0; left -= AT_ONCE) {
            // So that no variant always follows the same one.
            Collections.shuffle(all);
            for (ModelJvms running : all) {
                nanos.computeIfAbsent(running.variant, variant -> new ArrayList<>())
                        .addAll(running.infer(Math.min(left, AT_ONCE)));
            }
        }
        Map<Variant, Latencies> latencies = new EnumMap<>(Variant.class);
        nanos.forEach((variant, times) -> latencies.put(variant, new Latencies(times)));
        return latencies;
    }
}
