// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

import io.ksm4j.samples.measurement.MeasuredJvm;
import io.ksm4j.samples.measurement.ProcessMemory;
import java.io.IOException;
import java.util.List;

/** A {@link TenantJvm} process. */
final class RunningJvm implements AutoCloseable {

    private final MeasuredJvm jvm;
    private final long base;

    /** Starts the JVM and waits until it is ready to load data. */
    RunningJvm(StorageVariant variant, ReferenceData data, int tenants) throws IOException {
        long mebibytes = (data.size() >> 20) + 1;
        // The heap is small, because it is not measured here. Records on it have headers, and the collector needs space
        // to move them.
        long heap = 16 + (variant == StorageVariant.OPTED_IN_HEAP ? 2L * tenants * mebibytes : 0);
        jvm = new MeasuredJvm(List.of(
                "-Xmx" + heap + "m",
                "-XX:MaxDirectMemorySize=" + (tenants * mebibytes + 1) + "m",
                TenantJvm.class.getName(),
                variant.name(),
                data.file(),
                Long.toString(data.seed()),
                Long.toString(data.size())));
        boolean isMeasured = false;
        try {
            base = jvm.memory().data();
            isMeasured = true;
        } finally {
            if (!isMeasured) {
                jvm.close();
            }
        }
    }

    void loadTenant() throws IOException {
        jvm.execute("").forEach(System.err::println);
    }

    /** Returns its memory. The anonymous memory is what was added since the JVM was ready. */
    ProcessMemory memory() throws IOException {
        ProcessMemory memory = jvm.memory();
        return new ProcessMemory(memory.mapped(), memory.anonymous() - base, memory.pageTables(), memory.records());
    }

    @Override
    public void close() {
        jvm.close();
    }
}
