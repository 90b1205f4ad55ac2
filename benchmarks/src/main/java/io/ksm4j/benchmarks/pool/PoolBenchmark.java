// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.pool;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.benchmarks.Disturbance;
import io.ksm4j.benchmarks.DisturbanceMeter;
import io.ksm4j.benchmarks.GeneratedSection;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.pool.MergeBlock;
import io.ksm4j.pool.MergePool;
import io.ksm4j.stats.RegionStats;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/**
 * Measures what a block of a pool costs: its time compared with the kernel's own call, and its memory compared with an
 * array on the heap, for different value sizes and numbers of copies. Writes the tables of {@code docs/pool.md}.
 */
final class PoolBenchmark {

    private static final int BLOCK = 64 << 10;
    private static final int ROUNDS = 31;
    private static final int CALLS = 2000;

    private static final List<Integer> SIZES = List.of(256, 1024, 2048, 3072, 4096, 6144, 16384, 65536, 262144);
    private static final List<Integer> COPIES = List.of(1, 2, 3, 8);

    /** The approximate total size of the distinct values of one size. */
    private static final int DATA = 4 << 20;

    /** The header and length field of an array on the heap. */
    private static final int ARRAY_HEADER = 16;

    /** The size of an rmap_item, which the kernel keeps for each page it scans. */
    private static final int RMAP_ITEM_BYTES = 64;

    /** The size of a MergeBlock of one page on the heap. */
    private static final int BLOCK_OBJECT = 24;

    private static final Duration TIMEOUT = Duration.ofSeconds(60);

    private final Ksm ksm = Ksm.system();
    private final RunningKsmd ksmd;

    PoolBenchmark(RunningKsmd ksmd) {
        this.ksmd = ksmd;
    }

    /**
     * Measures everything and updates the page, unless the run was disturbed. The argument is the root of the
     * repository.
     */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        StringBuilder text = new StringBuilder();
        Disturbance disturbance;
        try (RunningKsmd ksmd = RunningKsmd.start()) {
            DisturbanceMeter meter = DisturbanceMeter.start();
            PoolBenchmark pool = new PoolBenchmark(ksmd);
            text.append(pool.time(ROUNDS, CALLS)).append('\n').append(pool.sharing(ROUNDS, 20_000));
            text.append('\n').append(pool.memory(SIZES, COPIES));
            disturbance = meter.stop();
        }
        GeneratedSection section = new GeneratedSection(Path.of("docs", "pool.md"), "pool");
        System.exit(section.publish(root, disturbance, text.toString()));
    }

    /** Measures allocating, filling and freeing a block, alternating with filling and discarding pages of a region. */
    String time(int rounds, int calls) {
        // It would take a core and work on the measured pages.
        ksmd.set(KsmSetting.RUN, 0);
        ByteBuffer source = ByteBuffer.allocateDirect(BLOCK);
        double[] pooled = new double[rounds];
        double[] bare = new double[rounds];
        RegionOptions options = RegionOptions.DEFAULT.withHugePages(HugePages.AVOID);
        try (MergePool pool = MergePool.create(ksm, 1L << 30);
                MergeRegion region = ksm.allocate(BLOCK, options)) {
            ByteBuffer buffer = region.buffer();
            for (int round = -rounds; round < rounds; round++) {
                long start = System.nanoTime();
                for (int i = 0; i < calls; i++) {
                    buffer.put(0, source, 0, BLOCK);
                    region.discard(0, BLOCK);
                }
                long middle = System.nanoTime();
                for (int i = 0; i < calls; i++) {
                    try (MergeBlock block = pool.allocate(BLOCK)) {
                        source.clear();
                        block.put(0, source);
                    }
                }
                if (round >= 0) {
                    bare[round] = (middle - start) / (1000.0 * calls);
                    pooled[round] = (System.nanoTime() - middle) / (1000.0 * calls);
                }
            }
        }
        ksmd.set(KsmSetting.RUN, 1);
        double overhead = median(pooled) - median(bare);
        return String.format(
                Locale.ROOT,
                """
                | 64 KiB of resident memory, one thread | median, µs |
                | --- | --- |
                | write to a region and return its pages with `discard` | %.2f |
                | allocate a block of a pool, write to it, and close it | %.2f |

                    %s
                """,
                median(bare),
                median(pooled),
                Target.maximum("pool.allocate-and-free-us", overhead, 2));
    }

    /** Measures a pool that deduplicates. */
    String sharing(int rounds, int values) {
        // It would take a core and work on the measured pages.
        ksmd.set(KsmSetting.RUN, 0);
        try {
            return new SharingBenchmark(ksm, rounds, values).run();
        } finally {
            ksmd.set(KsmSetting.RUN, 1);
        }
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    String memory(List<Integer> sizes, List<Integer> copies) throws Exception {
        StringBuilder table = new StringBuilder("Memory used per byte of a value, once all copies are merged:\n\n");
        table.append("| Value size, bytes | heap, each copy |");
        copies.forEach(count -> table.append(" pool, " + count + (count == 1 ? " copy |" : " copies |")));
        table.append("\n| --- | --- |").append(" --- |".repeat(copies.size())).append('\n');
        for (int size : sizes) {
            table.append(String.format(Locale.ROOT, "| %d | %.2f |", size, (double) (size + ARRAY_HEADER) / size));
            for (int count : copies) {
                table.append(String.format(Locale.ROOT, " %.2f |", bytesPerByte(size, count)));
            }
            table.append('\n');
        }
        return table.toString();
    }

    private double bytesPerByte(int size, int copies) throws Exception {
        int values = Math.max(16, DATA / size / copies);
        byte[] value = new byte[size];
        Random random = new Random(size);
        try (MergePool pool = MergePool.create(ksm, 1L << 30)) {
            List<MergeBlock> blocks = new ArrayList<>();
            for (int i = 0; i < values; i++) {
                random.nextBytes(value);
                for (int copy = 0; copy < copies; copy++) {
                    blocks.add(pool.store(value));
                }
            }
            long end = System.nanoTime() + TIMEOUT.toNanos();
            // The kernel rounds: the last page of a value may be missing from its sum.
            long wanted = pool.stats().usedBytes() / copies * (copies - 1) * 99 / 100;
            while (pool.mergeStats().savedBytes() < wanted) {
                if (System.nanoTime() > end) {
                    throw new IllegalStateException("not merged within " + TIMEOUT);
                }
                ksmd.awaitFullScans(1);
            }
            RegionStats stats = pool.mergeStats();
            long records = stats.residentBytes() / ksm.pageSize() * RMAP_ITEM_BYTES;
            long objects = (long) blocks.size() * BLOCK_OBJECT;
            return (double) (stats.residentBytes() - stats.savedBytes() + records + objects)
                    / ((long) blocks.size() * size);
        }
    }
}
