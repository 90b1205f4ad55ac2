// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.tck.Mapping;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;

/** The child JVMs of {@link VirtualThreadsTest}, on Java 21 or later. They exit when all threads have ended. */
final class VirtualThreads {

    private static final int MARKERS = 8;
    private static final int ROUNDS = 25;
    private static final int REGIONS = 64;
    private static final RegionOptions UNGUARDED = RegionOptions.DEFAULT.withGuardPages(false);

    private final Ksm ksm = Ksm.system();
    private final long page = ksm.pageSize();

    private VirtualThreads() {}

    public static void main(String[] arguments) throws Exception {
        VirtualThreads test = new VirtualThreads();
        test.changeJoinedRegionsWhileOthersReadStats();
        test.manyMarkFewRegions(Integer.parseInt(arguments[0]));
        assertThat(test.ksm.registry().openRegions()).isZero();
        assertThat(test.ksm.registry().mergeableBytes()).isZero();
    }

    /**
     * Without guard pages, adjacent regions are one mapping, and reading must keep others from changing it. It does so
     * only where there is something to count.
     */
    private void changeJoinedRegionsWhileOthersReadStats() throws Exception {
        List<MergeRegion> regions = Stream.generate(() -> ksm.allocate(64 * page, UNGUARDED))
                .limit(8)
                .toList();
        assertThat(regions.stream().map(VirtualThreads::firstMapping).distinct())
                .as("mappings of %d regions", regions.size())
                .hasSizeLessThan(regions.size());
        regions.forEach(this::touch);
        AtomicBoolean done = new AtomicBoolean();
        try (ExecutorService platform = Executors.newFixedThreadPool(2)) {
            for (int i = 0; i < 2; i++) {
                platform.execute(() -> {
                    while (!done.get()) {
                        MergeRegistry.system().marks();
                    }
                });
            }
            try (ExecutorService virtual = Executors.newVirtualThreadPerTaskExecutor()) {
                List<Future<?>> results = new ArrayList<>();
                for (int i = 0; i < MARKERS; i++) {
                    Random random = new Random(i);
                    results.add(virtual.submit(() -> markParts(regions, random)));
                    results.add(virtual.submit(() -> readStats(regions, random.nextInt(regions.size()))));
                    results.add(virtual.submit(this::openAndClose));
                }
                for (Future<?> result : results) {
                    result.get();
                }
            } finally {
                done.set(true);
            }
        }
        regions.forEach(MergeRegion::close);
    }

    private void touch(MergeRegion region) {
        ByteBuffer buffer = region.buffer();
        for (long offset = 0; offset < region.size(); offset += page) {
            buffer.putLong((int) offset, region.address() + offset);
        }
    }

    private static long firstMapping(MergeRegion region) {
        return Mapping.between(region.address(), region.address() + region.size())
                .get(0)
                .start();
    }

    @SuppressWarnings("ThreadPriorityCheck") // Only makes the threads alternate more often.
    private void markParts(List<MergeRegion> regions, Random random) {
        for (int round = 0; round < ROUNDS; round++) {
            MergeRegion region = regions.get(random.nextInt(regions.size()));
            long offset = random.nextInt(32) * page;
            region.markUnmergeable(offset, 8 * page);
            region.markMergeable(offset, 8 * page);
            Thread.yield();
        }
    }

    @SuppressWarnings("ThreadPriorityCheck")
    private static void readStats(List<MergeRegion> regions, int first) {
        for (int round = 0; round < ROUNDS; round++) {
            readStats(regions.get((first + round) % regions.size()));
            Thread.yield();
        }
    }

    private static void readStats(MergeRegion region) {
        try {
            region.stats();
        } catch (KsmException changedTooFast) {
            // It throws and does not wait.
        }
    }

    /** Opens regions that are adjacent to the others for a while. */
    @SuppressWarnings("ThreadPriorityCheck")
    private void openAndClose() {
        for (int round = 0; round < ROUNDS; round++) {
            try (MergeRegion region = ksm.allocate(8 * page, UNGUARDED)) {
                touch(region);
                readStats(region);
            }
            Thread.yield();
        }
    }

    private void manyMarkFewRegions(int threads) throws Exception {
        List<MergeRegion> regions =
                Stream.generate(() -> ksm.allocate(2 * page)).limit(REGIONS).toList();
        List<Future<?>> results = new ArrayList<>();
        try (ExecutorService virtual = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int i = 0; i < threads; i++) {
                int number = i;
                results.add(virtual.submit(() -> markOne(regions, number)));
            }
        }
        for (Future<?> result : results) {
            result.get();
        }
        regions.forEach(MergeRegion::close);
    }

    private void markOne(List<MergeRegion> regions, int number) {
        MergeRegion region = regions.get(number % REGIONS);
        if (number % 2 == 0) {
            region.markMergeable();
        } else {
            region.markUnmergeable();
        }
        if (number % 1000 == 0) {
            try (MergeRegion own = ksm.allocate(page)) {
                own.buffer().put(0, (byte) 1);
            }
        }
    }
}
