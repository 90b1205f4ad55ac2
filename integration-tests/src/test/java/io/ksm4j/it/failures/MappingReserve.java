// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.MapCountExceededException;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.it.fixtures.Machine;
import java.io.IOException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Needs more and more mappings, in a JVM that has to keep running. */
final class MappingReserve {

    private static final long RESERVE = 256;

    private MappingReserve() {}

    public static void main(String[] args) throws IOException, InterruptedException {
        Ksm ksm = Ksm.system();
        if (args[0].equals("marks")) {
            marks(ksm);
        } else {
            closedRegions(ksm, Integer.parseInt(args[1]));
        }
        useTheJvm();
        System.out.println(args[0] + ": done");
    }

    /** Marks every second page, until there are too many mappings. */
    private static void marks(Ksm ksm) throws IOException {
        long limit = Machine.maxMapCount();
        long page = ksm.pageSize();
        MergeRegion region =
                ksm.allocate((limit + 1000) * page, RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE));
        MapCountExceededException failure = null;
        for (long at = 0; failure == null; at += 2 * page) {
            try {
                region.markMergeable(at, page);
            } catch (MapCountExceededException e) {
                failure = e;
            }
        }
        assertThat(failure.failedCall()).isEmpty();
        assertThat(failure.limit()).isEqualTo(limit);
        assertThat(failure.count()).isBetween(limit - RESERVE - 10, limit - RESERVE);
        assertThat(failure).hasMessageContaining("io.ksm4j.mappingReserve");
    }

    /**
     * Opens and closes one region at a time. Its addresses stay mapped until the garbage collector removes its buffers.
     */
    private static void closedRegions(Ksm ksm, int count) {
        for (int i = 0; i < count; i++) {
            try (MergeRegion region = ksm.allocate(ksm.pageSize())) {
                region.buffer().putInt(0, i);
            }
        }
        assertThat(ksm.registry().openRegions()).isZero();
    }

    /** Loads classes, starts threads and collects garbage, all of which need mappings. */
    private static void useTheJvm() throws InterruptedException {
        assertThat(IntStream.range(0, 1000).boxed().collect(Collectors.groupingBy(i -> i % 7)))
                .hasSize(7);
        for (int i = 0; i < 20; i++) {
            Thread thread = new Thread(() -> {});
            thread.start();
            thread.join();
        }
        System.gc();
    }
}
