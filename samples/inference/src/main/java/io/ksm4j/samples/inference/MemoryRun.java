// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

import io.ksm4j.samples.measurement.KsmdControl;
import io.ksm4j.samples.measurement.MemorySampler;
import io.ksm4j.samples.measurement.MemorySampler.Sample;
import io.ksm4j.samples.measurement.ProcessMemory;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * The memory of the JVMs of a variant over time.
 *
 * @param variant the variant
 * @param steps the memory at certain times, in their order
 * @param samples the memory of all JVMs all the time
 */
record MemoryRun(Variant variant, List<Step> steps, List<Sample> samples) {

    /** What the JVMs have done. */
    enum Stage {
        MODEL_LOADED("model loaded"),
        HEAP_FILLED("heap filled");

        private final String label;

        Stage(String label) {
            this.label = label;
        }

        String label() {
            return label;
        }
    }

    /** Whether the sample has waited for merging since then. */
    enum Merging {
        NOT_AWAITED,
        SETTLED,
        LIMIT_REACHED
    }

    /**
     * The memory at one time.
     *
     * @param stage what the JVMs have done
     * @param merging whether the sample has waited for merging since then
     * @param seconds the time since the first JVM was started
     * @param jvms the memory of each JVM
     * @param ksmdTime the CPU time that {@code ksmd} has used for this run
     */
    record Step(Stage stage, Merging merging, double seconds, List<ProcessMemory> jvms, Duration ksmdTime) {

        /** Returns the memory of all JVMs. */
        ProcessMemory all() {
            return jvms.stream().reduce(ProcessMemory.NONE, ProcessMemory::plus);
        }
    }

    /** Starts the JVMs, measures them, and stops them. */
    static MemoryRun measure(Variant variant, ModelJvms.Settings settings, KsmdControl ksmd)
            throws IOException, InterruptedException {
        List<Step> steps = new ArrayList<>();
        ModelJvms running = new ModelJvms(variant, settings);
        MemorySampler sampler = new MemorySampler(running::memory);
        try (running) {
            long start = System.nanoTime();
            Duration ksmdBefore = ksmd.ksmdTime();
            for (Stage stage : Stage.values()) {
                switch (stage) {
                    case MODEL_LOADED -> running.start();
                    case HEAP_FILLED -> running.fillHeap();
                }
                Merging merging = Merging.NOT_AWAITED;
                steps.add(step(stage, merging, start, running, ksmd.ksmdTime().minus(ksmdBefore)));
                if (variant.merges()) {
                    running.awaitMarks();
                    merging = ksmd.awaitSettled() ? Merging.SETTLED : Merging.LIMIT_REACHED;
                    steps.add(
                            step(stage, merging, start, running, ksmd.ksmdTime().minus(ksmdBefore)));
                }
            }
            return new MemoryRun(variant, steps, sampler.stop());
        } finally {
            sampler.stop();
        }
    }

    private static Step step(Stage stage, Merging merging, long start, ModelJvms running, Duration ksmdTime)
            throws IOException {
        return new Step(stage, merging, (System.nanoTime() - start) / 1e9, running.memoryOfEach(), ksmdTime);
    }

    /** Returns the memory of all JVMs in the end of a stage. */
    Step last(Stage stage) {
        return steps.stream()
                .filter(step -> step.stage == stage)
                .reduce((first, second) -> second)
                .orElseThrow();
    }
}
