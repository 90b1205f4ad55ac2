// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.arrow;

import io.ksm4j.Ksm;
import io.ksm4j.arrow.MergeableMemory;
import io.ksm4j.benchmarks.Disturbance;
import io.ksm4j.benchmarks.DisturbanceMeter;
import io.ksm4j.benchmarks.GeneratedSection;
import io.ksm4j.benchmarks.Median;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.RegionStats;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.channels.Channels;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import org.apache.arrow.memory.AllocationManager;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.memory.unsafe.UnsafeAllocationManager;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowStreamReader;
import org.apache.arrow.vector.ipc.ArrowStreamWriter;

/**
 * Measures buffers of {@link MergeableMemory}: their time compared with those of {@code arrow-memory-unsafe}, and the
 * memory of tenants that read the same stream. Writes the tables of {@code docs/arrow.md}.
 */
final class ArrowBenchmark {

    private static final int ROUNDS = 21;
    private static final int BYTES_PER_ROUND = 64 << 20;
    private static final List<Integer> SIZES = List.of(64, 1024, 4 << 10, 64 << 10, 1 << 20, 8 << 20);
    private static final int ROWS = 1_000_000;
    private static final int TENANTS = 5;

    private final RunningKsmd ksmd;

    ArrowBenchmark(RunningKsmd ksmd) {
        this.ksmd = ksmd;
    }

    /**
     * Measures everything and updates the page, unless the run was disturbed. The argument is the root of the
     * repository.
     */
    public static void main(String[] args) throws Exception {
        StringBuilder text = new StringBuilder();
        Disturbance disturbance;
        try (RunningKsmd ksmd = RunningKsmd.start()) {
            DisturbanceMeter meter = DisturbanceMeter.start();
            ArrowBenchmark arrow = new ArrowBenchmark(ksmd);
            text.append(arrow.time(SIZES, ROUNDS, BYTES_PER_ROUND)).append('\n').append(arrow.memory(ROWS));
            disturbance = meter.stop();
        }
        GeneratedSection section = new GeneratedSection(Path.of("docs", "arrow.md"), "arrow");
        System.exit(section.publish(Path.of(args[0]), disturbance, text.toString()));
    }

    private static RootAllocator allocator(AllocationManager.Factory factory) {
        return new RootAllocator(
                RootAllocator.configBuilder().allocationManagerFactory(factory).build());
    }

    /** Measures allocating a buffer, writing all of it, and releasing it, alternating between the two factories. */
    String time(List<Integer> sizes, int rounds, int bytesPerRound) {
        // It would take a core and work on the measured pages.
        ksmd.set(KsmSetting.RUN, 0);
        StringBuilder rows = new StringBuilder();
        try (MergeableMemory memory = MergeableMemory.of(Ksm.system());
                RootAllocator mergeable = allocator(memory);
                RootAllocator unsafe = allocator(UnsafeAllocationManager.FACTORY)) {
            for (int size : sizes) {
                int calls = Math.max(1, Math.min(bytesPerRound / size, 20_000));
                double[] times = new double[rounds];
                double[] unsafeTimes = new double[rounds];
                for (int round = -rounds; round < rounds; round++) {
                    double time = microsecondsPerBuffer(mergeable, size, calls);
                    double unsafeTime = microsecondsPerBuffer(unsafe, size, calls);
                    if (round >= 0) {
                        times[round] = time;
                        unsafeTimes[round] = unsafeTime;
                    }
                }
                rows.append(String.format(
                        Locale.ROOT, "| %d | %.2f | %.2f |%n", size, Median.of(times), Median.of(unsafeTimes)));
            }
        }
        ksmd.set(KsmSetting.RUN, 1);
        return """
                | buffer, bytes | `MergeableMemory`, µs | `arrow-memory-unsafe`, µs |
                | --- | --- | --- |
                """ + rows;
    }

    private static double microsecondsPerBuffer(BufferAllocator allocator, int size, int calls) {
        long start = System.nanoTime();
        for (int i = 0; i < calls; i++) {
            try (ArrowBuf buffer = allocator.buffer(size)) {
                buffer.setOne(0L, (long) size);
            }
        }
        return (System.nanoTime() - start) / (1000.0 * calls);
    }

    /** Measures the memory of tenants that read the same stream, of one record batch. */
    String memory(int rows) throws IOException, InterruptedException {
        byte[] stream = stream(rows);
        StringBuilder table = new StringBuilder();
        double first = 0;
        double last = 0;
        try (MergeableMemory memory = MergeableMemory.of(Ksm.system())) {
            List<ArrowStreamReader> tenants = new ArrayList<>();
            List<RootAllocator> allocators = new ArrayList<>();
            try {
                for (int count = 1; count <= TENANTS; count++) {
                    RootAllocator allocator = allocator(memory);
                    allocators.add(allocator);
                    ArrowStreamReader reader = new ArrowStreamReader(new ByteArrayInputStream(stream), allocator);
                    tenants.add(reader);
                    reader.loadNextBatch();
                    memory.trim();
                    ksmd.awaitFullScans(4);
                    RegionStats stats = memory.mergeStats();
                    double occupied = stats.residentBytes() - stats.savedBytes();
                    double more = count == 1 ? 0 : occupied - last;
                    first = count == 1 ? occupied : first;
                    last = occupied;
                    table.append(String.format(
                            Locale.ROOT,
                            "| %d | %.2f | %.2f | %s |%n",
                            count,
                            stats.residentBytes() / (double) (1 << 20),
                            occupied / (1 << 20),
                            count == 1 ? "" : String.format(Locale.ROOT, "%.2f %%", 100 * more / first)));
                    if (count == TENANTS) {
                        table.append("\n    ")
                                .append(Target.maximum("arrow.one-more-tenant-share", more / first, 0.03))
                                .append('\n');
                    }
                }
            } finally {
                for (ArrowStreamReader tenant : tenants) {
                    tenant.close();
                }
                allocators.forEach(RootAllocator::close);
            }
        }
        return String.format(Locale.ROOT, """
                A stream of %.1f MiB, read by tenants with an allocator each:

                | tenants | resident, MiB | occupied after merging, MiB | cost of the last tenant |
                | --- | --- | --- | --- |
                %s""", stream.length / (double) (1 << 20), table);
    }

    private static byte[] stream(int rows) throws IOException {
        Random random = new SecureRandom();
        ByteArrayOutputStream stream = new ByteArrayOutputStream();
        try (RootAllocator allocator = allocator(UnsafeAllocationManager.FACTORY);
                BigIntVector one = new BigIntVector("one", allocator);
                BigIntVector other = new BigIntVector("other", allocator)) {
            for (int i = 0; i < rows; i++) {
                one.setSafe(i, random.nextLong());
                other.setSafe(i, random.nextLong());
            }
            one.setValueCount(rows);
            other.setValueCount(rows);
            try (VectorSchemaRoot table = VectorSchemaRoot.of(one, other);
                    ArrowStreamWriter writer = new ArrowStreamWriter(table, null, Channels.newChannel(stream))) {
                writer.writeBatch();
                writer.end();
            }
        }
        return stream.toByteArray();
    }
}
