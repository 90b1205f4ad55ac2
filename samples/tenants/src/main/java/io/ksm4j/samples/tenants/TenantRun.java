// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

import io.ksm4j.samples.measurement.KsmdControl;
import io.ksm4j.samples.measurement.MemorySampler;
import io.ksm4j.samples.measurement.MemorySampler.Sample;
import io.ksm4j.samples.measurement.ProcessMemory;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
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

    final TenantHost host;
    final StorageVariant variant;
    final List<Arrival> arrivals = new ArrayList<>();
    List<Sample> samples = List.of();

    private final List<RunningJvm> jvms = new CopyOnWriteArrayList<>();

    TenantRun(TenantHost host, StorageVariant variant) {
        this.host = host;
        this.variant = variant;
    }

    /** Runs until all tenants have arrived, with at least the interval between two arrivals. */
    TenantRun run(ReferenceData data, int tenants, Duration interval, KsmdControl ksmd)
            throws IOException, InterruptedException {
        MemorySampler sampler = new MemorySampler(this::memory);
        try (this) {
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
            samples = sampler.stop();
        } finally {
            sampler.stop();
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

    @Override
    public void close() {
        jvms.forEach(RunningJvm::close);
    }
}
