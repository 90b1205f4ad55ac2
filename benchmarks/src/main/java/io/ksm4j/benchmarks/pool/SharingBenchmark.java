// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.pool;

import io.ksm4j.Ksm;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.pool.Deduplication;
import io.ksm4j.pool.MergeBlock;
import io.ksm4j.pool.MergeDomain;
import io.ksm4j.pool.MergePool;
import java.lang.management.ManagementFactory;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;

/**
 * Measures what a deduplicating pool costs and saves, in one thread: times against copying the same bytes and against a
 * pool that neither deduplicates nor retains pages, memory against the distinct bytes. All times of a row are measured
 * alternately in one process; each is the median of the rounds.
 */
final class SharingBenchmark {

    private static final int KIB_64 = 64 << 10;

    private final Ksm ksm;
    private final int page;
    private final int rounds;

    /** How many values of one page are stored in a round; larger ones are fewer. */
    private final int values;

    private final StringBuilder text = new StringBuilder();

    SharingBenchmark(Ksm ksm, int rounds, int values) {
        this.ksm = ksm;
        this.page = Math.toIntExact(ksm.pageSize());
        this.rounds = rounds;
        this.values = values;
    }

    /** Measures everything, and returns the tables. */
    String run() {
        text.append("| one thread, medians of ").append(rounds).append(" rounds, µs | 4 KiB | 64 KiB |\n");
        text.append("| --- | --- | --- |\n");
        Times small = times(4096, values);
        Times large = times(KIB_64, Math.max(1, values / 16));
        row("copy the bytes", small.copy, large.copy);
        row("store something new, without deduplication, and close it", small.plain, large.plain);
        row("store something new, with retained pages, and close it", small.retained, large.retained);
        row("store something new, with deduplication, and close it", small.fresh, large.fresh);
        row("store what is there already, and close it", small.present, large.present);
        row("the same, in caches of the processor", small.warm, large.warm);
        row("get", small.get, large.get);
        row("get, in a domain", small.domainGet, large.domainGet);
        row("store what is there already, in a domain", small.domainPresent, large.domainPresent);
        text.append('\n');
        target(Target.maximum("pool.store-present-4k-cold-us", small.present, 3));
        target(Target.maximum("pool.store-present-4k-warm-us", small.warm, 1));
        target(Target.maximum("pool.store-present-64k-to-plain", large.present / large.plain, 0.5));
        target(Target.maximum("pool.store-new-4k-to-plain", small.fresh / small.plain, 1.15));
        target(Target.maximum("pool.store-new-64k-to-plain", large.fresh / large.plain, 1.15));
        target(Target.maximum("pool.steady-4k-to-copy", small.retained / small.copy, 3));
        target(Target.maximum("pool.steady-64k-to-copy", large.retained / large.copy, 3));
        target(Target.maximum("pool.domain-get-4k-more-us", small.domainGet - small.get, 0.4));
        target(Target.maximum("pool.domain-get-64k-more-us", large.domainGet - large.get, 4));
        target(Target.maximum("pool.domain-put-4k-more-us", small.domainPresent - small.present, 0.4));
        target(Target.maximum("pool.domain-put-64k-more-us", large.domainPresent - large.present, 4));
        memory();
        return text.toString();
    }

    private void row(String name, double small, double large) {
        text.append(String.format(Locale.ROOT, "| %s | %.2f | %.2f |%n", name, small, large));
    }

    private void target(Target target) {
        text.append("    ").append(target).append('\n');
    }

    private record Times(
            double copy,
            double plain,
            double retained,
            double fresh,
            double present,
            double warm,
            double get,
            double domainGet,
            double domainPresent) {}

    private interface Work {
        void perform(int value);
    }

    private Times times(int size, int count) {
        long capacity = 4L * count * size + (64L << 20);
        byte[][] data = data(size, count);
        byte[][] more = data(size, count);
        MergeBlock[] kept = new MergeBlock[count];
        MergeBlock[] keptInDomain = new MergeBlock[count];
        ByteBuffer memory = ByteBuffer.allocateDirect(Math.multiplyExact(count, size));
        byte[] target = new byte[size];
        ByteBuffer targetBuffer = ByteBuffer.wrap(target);
        try (MergePool plain = MergePool.create(ksm, capacity);
                MergePool retaining =
                        MergePool.builder(ksm, capacity).retainedShare(1).build();
                MergePool sharing = MergePool.builder(ksm, capacity)
                        .deduplication(Deduplication.ON_STORE)
                        .retainedShare(0)
                        .build();
                MergePool inDomain = MergePool.builder(ksm, capacity)
                        .deduplication(Deduplication.ON_STORE)
                        .domain(MergeDomain.ofProcess())
                        .build()) {
            Arrays.setAll(kept, i -> sharing.store(data[i]));
            Arrays.setAll(keptInDomain, i -> inDomain.store(data[i]));
            Work[] works = {
                i -> memory.put(i * size, data[i]),
                i -> plain.store(data[i]).close(),
                i -> retaining.store(data[i]).close(),
                i -> sharing.store(more[i]).close(),
                i -> sharing.store(data[i]).close(),
                i -> sharing.store(data[i & 7]).close(),
                i -> kept[i].get(0, targetBuffer.clear()),
                i -> keptInDomain[i].get(0, targetBuffer.clear()),
                i -> inDomain.store(data[i]).close()
            };
            double[][] micros = new double[works.length][rounds];
            for (int round = -rounds; round < rounds; round++) {
                for (int work = 0; work < works.length; work++) {
                    double time = micros(works[work], count);
                    if (round >= 0) {
                        micros[work][round] = time;
                    }
                }
            }
            double[] medians =
                    Arrays.stream(micros).mapToDouble(SharingBenchmark::median).toArray();
            return new Times(
                    medians[0],
                    medians[1],
                    medians[2],
                    medians[3],
                    medians[4],
                    medians[5],
                    medians[6],
                    medians[7],
                    medians[8]);
        }
    }

    private static double micros(Work work, int count) {
        long start = System.nanoTime();
        for (int i = 0; i < count; i++) {
            work.perform(i);
        }
        return (System.nanoTime() - start) / 1e3 / count;
    }

    private static byte[][] data(int size, int count) {
        Random random = new Random();
        byte[][] data = new byte[count][size];
        for (byte[] value : data) {
            random.nextBytes(value);
        }
        return data;
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    /** Measures heap and off-heap memory of one and of eight tenants with the same values. */
    private void memory() {
        int tenants = 8;
        int values = 5 * this.values;
        byte[][] data = data(4096, values);
        MergeBlock[][] blocks = new MergeBlock[tenants][values];
        try (MergePool pool = MergePool.builder(ksm, 4L * values * page)
                .deduplication(Deduplication.ON_STORE)
                .build()) {
            long[] heap = new long[tenants + 1];
            long[] resident = new long[tenants + 1];
            heap[0] = usedHeap();
            for (int tenant = 0; tenant < tenants; tenant++) {
                for (int i = 0; i < values; i++) {
                    blocks[tenant][i] = pool.store(data[i]);
                }
                heap[tenant + 1] = usedHeap();
                resident[tenant + 1] = pool.mergeStats().residentBytes();
            }
            double first = (double) (heap[1] - heap[0]) / values;
            double further = (double) (heap[tenants] - heap[1]) / values / (tenants - 1);
            double index = (double) pool.stats().indexBytes() / values;
            text.append(String.format(
                    Locale.ROOT,
                    "%nHeap for a value of 4 KiB: %.0f bytes for the first block and the growing index (%.0f bytes of"
                            + " index in all), %.0f for each further one.%n%n",
                    first,
                    index,
                    further));
            target(Target.maximum("pool.heap-distinct-bytes", first, 64));
            target(Target.maximum("pool.heap-reference-bytes", further, 24));
            target(Target.maximum("pool.eight-tenants-to-one", (double) resident[tenants] / resident[1], 1.02));
        } finally {
            Reference.reachabilityFence(blocks);
            Reference.reachabilityFence(data);
        }
    }

    private static long usedHeap() {
        System.gc();
        System.gc();
        return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
    }
}
