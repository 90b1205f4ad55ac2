package io.ksm4j.benchmarks;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.pool.MergeBlock;
import io.ksm4j.pool.MergePool;
import io.ksm4j.stats.RegionStats;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/**
 * What a block of a pool costs: time beside the kernel's own call, and memory beside an array on the heap, by size of the value and
 * number of copies. Writes the tables of {@code docs/pool.md}.
 */
final class Pool {

    private static final int BLOCK = 64 << 10;
    private static final int ROUNDS = 31;
    private static final int CALLS = 2000;

    private static final List<Integer> SIZES = List.of(256, 1024, 2048, 3072, 4096, 6144, 16384, 65536, 262144);
    private static final List<Integer> COPIES = List.of(1, 2, 3, 8);

    /** Different values of a size take together about this much. */
    private static final int DATA = 4 << 20;

    /** Of an array on the heap: its header and length. */
    private static final int ARRAY_HEADER = 16;

    /** What the kernel keeps for each page that it looks at: its rmap_item. */
    private static final int RECORD = 64;

    /** A MergeBlock on the heap. */
    private static final int BLOCK_OBJECT = 32;

    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private final Ksm ksm = Ksm.system();
    private final RunningKsmd ksmd;

    Pool(RunningKsmd ksmd) {
        this.ksmd = ksmd;
    }

    /** Measures and writes. The argument is the root of the repository. */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        StringBuilder text = new StringBuilder("Measured on " + Machine.describe() + ".\n\n");
        try (RunningKsmd ksmd = RunningKsmd.start()) {
            Pool pool = new Pool(ksmd);
            text.append(pool.time(ROUNDS, CALLS)).append('\n').append(pool.memory(SIZES, COPIES));
        }
        MeasuredPart part = new MeasuredPart(Path.of("docs", "pool.md"), "pool");
        Files.writeString(root.resolve(part.page()), part.replaced(root, text.toString()));
        System.out.print(text);
    }

    /** Taking a block, filling it and freeing it, in turn with filling and discarding pages of a region. */
    String time(int rounds, int calls) {
        // It would take a core, and work on the very pages.
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
                | A resident block of 64 KiB, one thread | µs, median |
                | --- | --- |
                | write it to a region, and give its pages back by `discard` | %.2f |
                | the same with a block of a pool: allocate, write, close | %.2f |

                    %s
                """,
                median(bare),
                median(pooled),
                Target.atMost("pool.allocate-and-free-us", overhead, 2));
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    String memory(List<Integer> sizes, List<Integer> copies) throws Exception {
        StringBuilder table =
                new StringBuilder("Bytes that a value takes, once its copies are merged, for each byte of it:\n\n");
        table.append("| Value, bytes | on the heap, each copy |");
        copies.forEach(count -> table.append(count == 1 ? " pool, no copy |" : " pool, " + count + " copies |"));
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
            long end = System.nanoTime() + PATIENCE.toNanos();
            // The kernel's roundings: a value's last page may be missing from its sum.
            long wanted = pool.stats().usedBytes() / copies * (copies - 1) * 99 / 100;
            while (pool.mergeStats().savedBytes() < wanted) {
                if (System.nanoTime() > end) {
                    throw new IllegalStateException("not merged within " + PATIENCE);
                }
                ksmd.awaitFullScans(1);
            }
            RegionStats stats = pool.mergeStats();
            long records = stats.residentBytes() / ksm.pageSize() * RECORD;
            long objects = (long) blocks.size() * BLOCK_OBJECT;
            return (double) (stats.residentBytes() - stats.savedBytes() + records + objects)
                    / ((long) blocks.size() * size);
        }
    }
}
