// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** Lets tenants arrive one after the other, and records their memory. */
final class TenantRun implements AutoCloseable {

    /**
     * The state after a tenant has arrived and merging has settled.
     *
     * @param tenants the number of tenants so far
     * @param memory the memory of all tenants
     * @param cost the bytes of data that the tenant has added
     * @param isSettled whether merging settled before the limit
     */
    record Arrival(int tenants, ProcessMemory memory, long cost, boolean isSettled) {}

    record Sample(double seconds, ProcessMemory memory) {}

    private static final int SAMPLE_MILLIS = 100;

    final TenantHost host;
    final StorageVariant variant;
    final List<Arrival> arrivals = new ArrayList<>();
    final List<Sample> samples = new ArrayList<>();

    private final List<RunningJvm> jvms = new CopyOnWriteArrayList<>();

    TenantRun(TenantHost host, StorageVariant variant) {
        this.host = host;
        this.variant = variant;
    }

    /** Runs until all tenants have arrived, with at least the interval between two arrivals. */
    TenantRun run(ReferenceData data, int tenants, Duration interval, KsmdControl ksmd)
            throws IOException, InterruptedException {
        ScheduledExecutorService sampler = Executors.newSingleThreadScheduledExecutor();
        try (this) {
            long start = System.nanoTime();
            Future<?> sampling =
                    sampler.scheduleWithFixedDelay(() -> sample(start), 0, SAMPLE_MILLIS, TimeUnit.MILLISECONDS);
            long before = 0;
            for (int i = 1; i <= tenants; i++) {
                long next = System.nanoTime() + interval.toNanos();
                if (host == TenantHost.JVMS || i == 1) {
                    jvms.add(new RunningJvm(variant, data, host == TenantHost.JVMS ? 1 : tenants));
                }
                jvms.get(jvms.size() - 1).loadTenant();
                boolean isSettled = !variant.isMergeable() || ksmd.awaitSettled();
                TimeUnit.NANOSECONDS.sleep(next - System.nanoTime());
                ProcessMemory memory = memory();
                arrivals.add(new Arrival(i, memory, memory.data() - before, isSettled));
                before = memory.data();
            }
            sampling.cancel(false);
        } finally {
            sampler.shutdown();
            sampler.awaitTermination(1, TimeUnit.MINUTES);
        }
        return this;
    }

    private ProcessMemory memory() throws IOException {
        ProcessMemory memory = ProcessMemory.NONE;
        for (RunningJvm jvm : jvms) {
            memory = memory.plus(jvm.memory());
        }
        return memory;
    }

    private void sample(long start) {
        try {
            samples.add(new Sample((System.nanoTime() - start) / 1e9, memory()));
        } catch (IOException e) {
            // A JVM has ended. This ends the sampling, and the run ends as well.
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() {
        jvms.forEach(RunningJvm::close);
    }
}
