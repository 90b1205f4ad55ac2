// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.AddressRange;
import io.ksm4j.FailedCall;
import io.ksm4j.Ksm;
import io.ksm4j.MapCountExceededException;
import io.ksm4j.Marking;
import io.ksm4j.MemoryLimitExceededException;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.it.fixtures.Machine;
import io.ksm4j.it.fixtures.Mappings;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.util.ArrayList;
import java.util.List;

/** Reaches {@code vm.max_map_count}, by marks and by regions. */
final class MapCountLimit {

    private static final RegionOptions UNGUARDED =
            RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE).withGuardPages(false);
    private static final AddressRange EVERYTHING = new AddressRange(0, Long.MAX_VALUE);

    /** The number of mappings that the JVM may create for itself. */
    private static final long NOISE = 20;

    private static final Ksm KSM = Ksm.system();
    private static final long PAGE = KSM.pageSize();
    private static final MergeRegistry REGISTRY = KSM.registry();

    private MapCountLimit() {}

    public static void main(String[] args) throws IOException, ReflectiveOperationException {
        long limit = Machine.maxMapCount();
        warmUp();
        marks(limit);
        System.out.println("marks: done");
        regions(limit);
        System.out.println("regions: done");
    }

    private interface Step {
        void run();
    }

    /** The failure at the limit, and the number of mappings. */
    private record AtLimit(MapCountExceededException failure, long mappings) {}

    /**
     * Repeats a step until it fails, which endless retries in the library would prevent. After that, the JVM needs free
     * mappings before it can load another class.
     */
    private static AtLimit repeatUntilTheLimit(Step step, Step headroom) {
        while (true) {
            try {
                step.run();
            } catch (MapCountExceededException e) {
                long mappings = Mappings.count();
                headroom.run();
                return new AtLimit(e, mappings);
            }
        }
    }

    /** Loads the classes that are needed at the limit, where the JVM cannot map memory for them. */
    private static void warmUp() throws ReflectiveOperationException {
        Mappings.awaitStartOfTheRegistry();
        FailedCall call = null;
        try {
            KSM.allocate(1L << 62, UNGUARDED);
        } catch (MemoryLimitExceededException e) {
            call = e.failedCall().orElseThrow();
        }
        Constructor<MapCountExceededException> constructor =
                MapCountExceededException.class.getDeclaredConstructor(FailedCall.class, long.class, long.class);
        constructor.setAccessible(true);
        MapCountExceededException rehearsed = constructor.newInstance(call, 1L, 2L);
        assertThat(rehearsed.count()).isEqualTo(1);
        long[] pages = {0};
        try (MergeRegion region = KSM.allocate(64 * PAGE, UNGUARDED)) {
            AtLimit rehearsal = repeatUntilTheLimit(
                    () -> {
                        region.markMergeable(pages[0], PAGE);
                        pages[0] += 2 * PAGE;
                        if (pages[0] == 60 * PAGE) {
                            throw rehearsed;
                        }
                    },
                    () -> region.markUnmergeable(0, 30 * PAGE));
            assertThat(rehearsal.failure()).isSameAs(rehearsed);
        }
    }

    private static void assertReportsTheLimit(AtLimit reached, long limit) {
        MapCountExceededException failure = reached.failure();
        assertThat(failure.count()).isBetween(reached.mappings() - NOISE, reached.mappings() + NOISE);
        assertThat(failure.count()).isBetween(limit - 2, limit + 2);
        assertThat(failure.limit()).isEqualTo(limit);
        assertThat(failure.mayRetry()).isFalse();
        assertThat(failure).hasMessageContaining(failure.count() + " mappings").hasMessageContaining("sysctl");
        assertThat(failure.failedCall().map(FailedCall::errnoName).orElseThrow())
                .isIn("EAGAIN", "ENOMEM");
    }

    private static void assertRegistryMatchesTheKernel() {
        List<AddressRange> mergeable = Mappings.mergeable(EVERYTHING);
        assertThat(REGISTRY.mergeableRanges().equals(mergeable))
                .as("registry and smaps agree on %d ranges", mergeable.size())
                .isTrue();
        assertThat(REGISTRY.mergeableBytes())
                .isEqualTo(mergeable.stream().mapToLong(AddressRange::length).sum());
    }

    private static void marks(long limit) {
        long mappings = Mappings.count();
        AddressRange big;
        MergeRegion further = KSM.allocate(16 * PAGE);
        try (MergeRegion region = KSM.allocate((limit + 1000) * PAGE, UNGUARDED);
                MergeRegion whole = KSM.allocate(16 * PAGE)) {
            big = region.range();
            long[] next = {PAGE};
            Step markNext = () -> {
                region.markMergeable(next[0], PAGE);
                next[0] += 2 * PAGE;
            };
            AtLimit marking = repeatUntilTheLimit(markNext, () -> region.markUnmergeable(0, 200 * PAGE));
            assertReportsTheLimit(marking, limit);
            FailedCall call = marking.failure().failedCall().orElseThrow();
            assertThat(call.name()).isEqualTo("madvise(MADV_MERGEABLE)");
            assertThat(call.range()).hasValue(new AddressRange(region.address() + next[0], PAGE));
            assertThat(next[0] / PAGE).isGreaterThan(limit * 9 / 10);
            assertRegistryMatchesTheKernel();

            AtLimit unmarking = repeatUntilTheLimit(
                    () -> {
                        try {
                            markNext.run();
                        } catch (MapCountExceededException e) {
                            whole.markUnmergeable(4 * PAGE, 4 * PAGE);
                        }
                    },
                    () -> region.markUnmergeable(0, 400 * PAGE));
            assertReportsTheLimit(unmarking, limit);
            assertThat(unmarking.failure().failedCall().orElseThrow().name()).isEqualTo("madvise(MADV_UNMERGEABLE)");
            assertThat(whole.isMergeable()).isTrue();
            assertRegistryMatchesTheKernel();

            further.close();
            assertThat(Mappings.touch(further.range())).isFalse();
            assertRegistryMatchesTheKernel();

            region.markUnmergeable();
            assertThat(REGISTRY.mergeableRanges()).containsExactly(whole.range());
            assertRegistryMatchesTheKernel();
            region.markMergeable(next[0], PAGE);
            assertRegistryMatchesTheKernel();
        }
        assertThat(Mappings.touch(big)).isFalse();
        assertThat(REGISTRY.openRegions()).isZero();
        assertThat(Mappings.count()).isLessThan(mappings + NOISE);
    }

    private static void regions(long limit) {
        long mappings = Mappings.count();
        List<MergeRegion> regions = new ArrayList<>();
        AtLimit reached = repeatUntilTheLimit(() -> regions.add(KSM.allocate(PAGE)), () -> {
            for (int i = 0; i < 100; i++) {
                regions.remove(regions.size() - 1).close();
            }
        });
        assertReportsTheLimit(reached, limit);
        assertThat(REGISTRY.openRegions()).isEqualTo(regions.size());
        assertThat(REGISTRY.mergeableBytes()).isEqualTo(regions.size() * PAGE);
        assertRegistryMatchesTheKernel();

        // A region between others: the kernel has joined its guard pages with theirs.
        MergeRegion middle = regions.remove(regions.size() / 2);
        middle.close();
        assertThat(Mappings.touch(middle.range())).isFalse();
        regions.add(KSM.allocate(PAGE));

        regions.forEach(MergeRegion::close);
        assertThat(REGISTRY.openRegions()).isZero();
        assertThat(REGISTRY.mergeableBytes()).isZero();
        assertThat(Mappings.count()).isLessThan(mappings + NOISE);
    }
}
