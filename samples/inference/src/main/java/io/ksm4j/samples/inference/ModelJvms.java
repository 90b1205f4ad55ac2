// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

import io.ksm4j.agent.KsmAgent;
import io.ksm4j.samples.measurement.MeasuredJvm;
import io.ksm4j.samples.measurement.ProcessMemory;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;

/** The JVMs of one variant. */
final class ModelJvms implements AutoCloseable {

    /** In a module of its own, because the runtime that it uses is large. */
    private static final String PROGRAM = "io.ksm4j.samples.inference.jvm.InferenceJvm";

    private static final int MEBIBYTE = 1 << 20;

    private static final Duration PATIENCE = Duration.ofMinutes(1);

    /**
     * What the JVMs of all variants have in common.
     *
     * @param model the model
     * @param file its file, in a directory for temporary files
     * @param isInArena whether the weights are loaded into the arena of the runtime
     * @param count the number of JVMs of each variant
     * @param heap the bytes of live objects on each heap
     */
    record Settings(OnnxModel model, Path file, boolean isInArena, int count, long heap) {}

    final Variant variant;
    private final Settings settings;
    private final List<MeasuredJvm> jvms = new CopyOnWriteArrayList<>();

    ModelJvms(Variant variant, Settings settings) {
        this.variant = variant;
        this.settings = settings;
    }

    /** Starts the JVMs one after the other, and lets each load the model. */
    void start() throws IOException {
        List<String> arguments = new ArrayList<>();
        if (variant.merges()) {
            arguments.add("-javaagent:" + agent() + "=" + variant.agentOptions());
        }
        arguments.add("-Djava.io.tmpdir=" + settings.file.getParent());
        // Uses as much memory for the same objects in each JVM, which other collectors do not.
        arguments.addAll(List.of("-XX:+UseSerialGC", "-Xmn1m"));
        // The classes of the JDK stay pages of a file.
        arguments.addAll(List.of("-XX:+UnlockDiagnosticVMOptions", "-XX:ArchiveRelocationMode=0"));
        arguments.add("-Xmx" + (32 + settings.heap / MEBIBYTE * 9 / 8) + "m");
        arguments.addAll(List.of(PROGRAM, settings.file.toString(), Boolean.toString(settings.isInArena)));
        for (int i = 0; i < settings.count; i++) {
            jvms.add(new MeasuredJvm(arguments));
        }
    }

    private static Path agent() {
        try {
            return Path.of(KsmAgent.class
                    .getProtectionDomain()
                    .getCodeSource()
                    .getLocation()
                    .toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Waits until the agents have marked the model; those that mark native memory look for more at intervals. */
    void awaitMarks() throws IOException, InterruptedException {
        long end = System.nanoTime() + PATIENCE.toNanos();
        for (MeasuredJvm jvm : jvms) {
            while (jvm.mergeable() < settings.model.size()) {
                if (System.nanoTime() > end) {
                    throw new IOException("the agent has not marked the model in " + PATIENCE.toSeconds() + " s");
                }
                TimeUnit.MILLISECONDS.sleep(100);
            }
        }
    }

    /** Fills each heap with objects that stay. */
    void fillHeap() throws IOException {
        for (MeasuredJvm jvm : jvms) {
            jvm.execute("fill " + settings.heap);
        }
    }

    /** Returns the nanoseconds of each inference, after some that are not timed. */
    List<Long> infer(int countPerJvm) throws IOException {
        List<Long> nanos = new ArrayList<>();
        for (MeasuredJvm jvm : jvms) {
            jvm.execute("infer " + countPerJvm).stream().map(Long::valueOf).forEach(nanos::add);
        }
        return nanos;
    }

    List<ProcessMemory> memoryOfEach() throws IOException {
        List<ProcessMemory> memory = new ArrayList<>();
        for (MeasuredJvm jvm : jvms) {
            memory.add(jvm.memory());
        }
        return memory;
    }

    ProcessMemory memory() throws IOException {
        return memoryOfEach().stream().reduce(ProcessMemory.NONE, ProcessMemory::plus);
    }

    @Override
    public void close() {
        jvms.forEach(MeasuredJvm::close);
    }
}
