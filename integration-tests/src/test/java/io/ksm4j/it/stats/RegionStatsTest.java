// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.stats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.management.ThreadMXBean;
import io.ksm4j.AddressRange;
import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.it.fixtures.PageCounts;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.stats.RegionStats;
import io.ksm4j.tck.Mapping;
import io.ksm4j.testsupport.PageContents;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.management.ManagementFactory;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** The numbers of a region are those of its own pages, whatever memory is adjacent. */
@EnabledIfKsm(control = true)
class RegionStatsTest {

    private static final int MADV_NORMAL = 0;
    private static final int MADV_RANDOM = 1;
    private static final int MADV_SEQUENTIAL = 2;
    private static final int MADV_MERGEABLE = 12;
    private static final int MADV_UNMERGEABLE = 13;

    private static final int PAGES = 64;

    private static final RegionOptions SMALL_PAGES = RegionOptions.DEFAULT.withHugePages(HugePages.AVOID);

    /** Makes the pages of this test differ from all other pages of this machine. */
    private final long salt = new SecureRandom().nextLong();

    private static void assertStats(RegionStats stats, AddressRange range, long pageSize) {
        PageCounts counted = PageCounts.of(range, pageSize);
        assertThat(stats.residentBytes()).as("resident").isEqualTo(counted.resident());
        assertThat(stats.mergedBytes()).as("merged").hasValue(counted.merged());
        assertThat(stats.zeroBytes()).as("zero").hasValue(counted.zero());
        // The kernel rounds the proportional size of a mapping down to kilobytes.
        assertThat((double) stats.savedBytes()).as("saved").isCloseTo(counted.saved(), within(1024.0));
    }

    /**
     * Fills one mapping of five parts. The three in the middle are regions: equal pages, unique pages, and half of
     * each.
     */
    private static List<MergeRegion> neighbours(Ksm ksm, MergeRegion memory, PageContents pages) {
        pages.fill(memory.buffer(), page -> switch ((int) page / PAGES) {
            case 1 -> -1;
            case 3 -> page % PAGES < PAGES / 2 ? -1 : page;
            default -> page;
        });
        long size = PAGES * ksm.pageSize();
        List<MergeRegion> regions = new ArrayList<>();
        for (int i = 1; i <= 3; i++) {
            regions.add(ksm.adopt(memory.address() + i * size, size));
        }
        return regions;
    }

    private static List<Mapping> mappings(MergeRegion memory) {
        return Mapping.between(memory.address(), memory.range().end());
    }

    private static MergeRegion allocate(Ksm ksm, Marking marking) {
        return ksm.allocate(5 * PAGES * ksm.pageSize(), SMALL_PAGES.withMarking(marking));
    }

    @ParameterizedTest
    @FieldSource("io.ksm4j.it.fixtures.TestedBackends#NAMES")
    void regionsInOneMappingAreCountedSeparately(String backend, RunningKsmd ksmd) {
        Ksm ksm = Ksm.with(TestedBackends.open(backend));
        try (MergeRegion memory = allocate(ksm, Marking.MERGEABLE)) {
            List<MergeRegion> regions = neighbours(ksm, memory, new PageContents(salt, ksm.pageSize()));
            await().untilAsserted(() -> {
                ksmd.awaitFullScans(3);
                assertThat(memory.stats().mergedBytes()).hasValue((PAGES + PAGES / 2) * ksm.pageSize());
            });
            List<Mapping> before = mappings(memory);
            assertThat(before).as("one mapping").hasSize(1);

            Map<MergeRegion, RegionStats> stats = ksm.stats(regions);

            assertThat(stats.keySet()).containsExactlyElementsOf(regions);
            for (MergeRegion region : regions) {
                assertStats(stats.get(region), region.range(), ksm.pageSize());
                assertThat(region.stats()).isEqualTo(stats.get(region));
                assertThat(stats.get(region).markedBytes()).isEqualTo(region.size());
            }
            assertThat(regions.get(0).stats().mergedShare()).isOne();
            assertThat(regions.get(1).stats().savedBytes()).isZero();
            assertThat(regions.get(2).stats().mergedShare()).isEqualTo(0.5);
            assertThat(mappings(memory)).as("joined again").isEqualTo(before);
            regions.forEach(MergeRegion::close);
        }
    }

    @Test
    void theAdviceAboutReadsIsUnchanged() {
        KsmBackend backend = TestedBackends.open("ffm");
        Ksm ksm = Ksm.with(backend);
        try (MergeRegion memory = allocate(ksm, Marking.MERGEABLE)) {
            List<MergeRegion> regions = neighbours(ksm, memory, new PageContents(salt, ksm.pageSize()));
            long half = memory.size() / 2 & -ksm.pageSize();
            // Half of the second region has MADV_RANDOM: three mappings, and a region in two of them.
            assertThat(backend.madvise(memory.address(), half, MADV_RANDOM)).isZero();
            List<Mapping> before = mappings(memory);
            assertThat(before).hasSize(2);
            assertThat(before.get(0).vmFlags()).contains("rr");

            for (MergeRegion region : regions) {
                assertStats(region.stats(), region.range(), ksm.pageSize());
            }
            ksm.stats(regions).forEach((region, stats) -> assertStats(stats, region.range(), ksm.pageSize()));

            assertThat(mappings(memory)).isEqualTo(before);
            assertThat(backend.madvise(memory.address(), half, MADV_NORMAL)).isZero();
            regions.forEach(MergeRegion::close);
        }
    }

    /**
     * Nothing is left of the one mapping in the middle that neither region has, and both advices are the neighbours'.
     */
    @Test
    void regionsThatFillAMappingBetweenOthersWithSequentialAdviceAreCounted() {
        KsmBackend backend = TestedBackends.open("ffm");
        Ksm ksm = Ksm.with(backend);
        long page = ksm.pageSize();
        try (MergeRegion memory = ksm.allocate(8 * page, SMALL_PAGES.withMarking(Marking.UNMERGEABLE))) {
            new PageContents(salt, page).fill(memory.buffer(), index -> index);
            assertThat(backend.madvise(memory.address(), 2 * page, MADV_SEQUENTIAL))
                    .isZero();
            assertThat(backend.madvise(memory.address() + 6 * page, 2 * page, MADV_SEQUENTIAL))
                    .isZero();
            List<Mapping> before = mappings(memory);
            assertThat(before).hasSize(3);
            RegionOptions unmarked = RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE);
            try (MergeRegion left = ksm.adopt(memory.address() + 2 * page, page, unmarked);
                    MergeRegion right = ksm.adopt(memory.address() + 3 * page, 3 * page, unmarked)) {
                Map<MergeRegion, RegionStats> stats = ksm.stats(List.of(left, right));
                assertThat(stats.get(left).residentBytes()).isEqualTo(page);
                assertThat(stats.get(right).residentBytes()).isEqualTo(3 * page);
                assertThat(left.stats()).isEqualTo(stats.get(left));
                assertThat(right.stats()).isEqualTo(stats.get(right));
            }
            assertThat(mappings(memory)).as("joined again").isEqualTo(before);
        }
    }

    @Test
    void regionsThatOverlapEachCountAllTheirPages() {
        Ksm ksm = Ksm.system();
        long page = ksm.pageSize();
        try (MergeRegion memory = allocate(ksm, Marking.MERGEABLE)) {
            new PageContents(salt, page).fill(memory.buffer(), index -> index);
            try (MergeRegion left = ksm.adopt(memory.address() + page, 20 * page);
                    MergeRegion right = ksm.adopt(memory.address() + 11 * page, 30 * page)) {
                Map<MergeRegion, RegionStats> stats = ksm.stats(List.of(right, memory, left, right));
                assertThat(stats.keySet()).containsExactly(right, memory, left);
                assertThat(stats.get(left).residentBytes()).isEqualTo(20 * page);
                assertThat(stats.get(right).residentBytes()).isEqualTo(30 * page);
                assertThat(stats.get(memory).residentBytes()).isEqualTo(memory.size());
                assertThat(ksm.stats().residentBytes())
                        .as("every page is counted once")
                        .isEqualTo(memory.size());
            }
        }
    }

    @Test
    void theSumCountsWhatKsm4jHasMarkedAndNothingElse(RunningKsmd ksmd) {
        KsmBackend backend = TestedBackends.open("ffm");
        Ksm ksm = Ksm.with(backend);
        PageContents pages = new PageContents(salt, ksm.pageSize());
        try (MergeRegion whole = allocate(ksm, Marking.MERGEABLE);
                MergeRegion unmarked = allocate(ksm, Marking.UNMERGEABLE);
                MergeRegion memory = allocate(ksm, Marking.UNMERGEABLE);
                MergeRegion fallback = Ksm.fallback().allocate(PAGES * ksm.pageSize())) {
            pages.fill(whole.buffer(), page -> page % 2);
            pages.fill(unmarked.buffer(), page -> 5);
            pages.fill(fallback.buffer(), page -> 5);
            List<MergeRegion> regions = neighbours(ksm, memory, pages);
            // Other code marks all of it: the regions and the memory between them are one mapping.
            assertThat(backend.madvise(memory.address(), memory.size(), MADV_MERGEABLE))
                    .isZero();
            assertThat(mappings(memory)).hasSize(1);
            await().untilAsserted(() -> {
                ksmd.awaitFullScans(3);
                assertThat(regions.get(0).stats().mergedShare()).isOne();
                assertThat(whole.stats().mergedShare()).isOne();
            });

            RegionStats sum = ksm.stats();

            PageCounts inWhole = PageCounts.of(whole.range(), ksm.pageSize());
            AddressRange ours = new AddressRange(
                    regions.get(0).address(), 3 * regions.get(0).size());
            PageCounts inNeighbours = PageCounts.of(ours, ksm.pageSize());
            assertThat(sum.markedBytes()).isEqualTo(whole.size() + ours.length());
            assertThat(sum.residentBytes()).isEqualTo(inWhole.resident() + inNeighbours.resident());
            assertThat(sum.mergedBytes()).hasValue(inWhole.merged() + inNeighbours.merged());
            assertThat((double) sum.savedBytes()).isCloseTo(inWhole.saved() + inNeighbours.saved(), within(4 * 1024.0));
            assertThat(Ksm.fallback().stats()).isEqualTo(RegionStats.NONE);
            regions.forEach(MergeRegion::close);
        }
    }

    @Test
    void theSumLeavesOutMemoryThatIsNoLongerOfTheRegion() {
        KsmBackend backend = TestedBackends.open("ffm");
        Ksm ksm = Ksm.with(backend);
        AtomicBoolean alive = new AtomicBoolean(true);
        try (MergeRegion memory = allocate(ksm, Marking.UNMERGEABLE)) {
            new PageContents(salt, ksm.pageSize()).fill(memory.buffer(), page -> page);
            MergeRegion freed = ksm.adopt(memory.address(), memory.size() / 2, RegionOptions.DEFAULT, alive::get);
            assertThat(ksm.stats().residentBytes()).isEqualTo(freed.size());
            // The owner has freed it, and the addresses are mapped again, unmarked.
            alive.set(false);
            assertThat(backend.madvise(memory.address(), memory.size(), MADV_UNMERGEABLE))
                    .isZero();
            assertThat(mappings(memory)).hasSize(1);

            RegionStats sum = ksm.stats();

            assertThat(sum.residentBytes()).isZero();
            assertThat(sum.markedBytes()).isZero();
            freed.close();
        }
    }

    @Test
    void pagesReplacedByTheZeroPageAreCountedSeparately(RunningKsmd ksmd) throws IOException {
        Ksm ksm = Ksm.system();
        try (MergeRegion zeros = allocate(ksm, Marking.MERGEABLE);
                MergeRegion unique = allocate(ksm, Marking.MERGEABLE)) {
            ksmd.set(KsmSetting.USE_ZERO_PAGES, 1);
            // A write allocates a page, even if it writes zeros.
            for (long at = 0; at < zeros.size() - ksm.pageSize(); at += ksm.pageSize()) {
                zeros.buffer(at, 1).put(0, (byte) 0);
            }
            new PageContents(salt, ksm.pageSize()).fill(unique.buffer(), page -> page);
            await().untilAsserted(() -> {
                ksmd.awaitFullScans(3);
                assertThat(zeros.stats().zeroBytes()).hasValue(zeros.size() - ksm.pageSize());
            });
            assertStats(zeros.stats(), zeros.range(), ksm.pageSize());
            assertThat(zeros.stats().residentBytes()).isZero();
            assertThat(zeros.stats().savedBytes()).isZero();
            assertThat(zeros.stats().mergedShare()).isOne();
            assertThat(unique.stats().zeroBytes()).hasValue(0);
            assertThat(ksm.stats().zeroBytes()).hasValue(zeros.size() - ksm.pageSize());
        }
    }

    @Test
    void rangesThatTheKernelDidNotMarkAreNotCountedAsMarked(@TempDir Path directory) throws IOException {
        Ksm ksm = Ksm.system();
        try (RandomAccessFile file =
                new RandomAccessFile(directory.resolve("shared").toFile(), "rw")) {
            file.setLength(4 * ksm.pageSize());
            var shared = file.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, 4 * ksm.pageSize());
            for (int page = 0; page < 4; page++) {
                shared.put((int) (page * ksm.pageSize()), (byte) 1);
            }
            try (MergeRegion region = ksm.adopt(shared, RegionOptions.DEFAULT.withVerify(false))) {
                RegionStats stats = region.stats();
                assertThat(region.isMergeable()).isTrue();
                assertThat(stats.markedBytes()).isZero();
                assertThat(stats.residentBytes()).isEqualTo(4 * ksm.pageSize());
                assertThat(stats.savedBytes()).isZero();
            }
        }
    }

    @Test
    void hugePagesAreCounted() {
        Ksm ksm = Ksm.system();
        try (MergeRegion region = ksm.allocate(
                8 << 20, RegionOptions.DEFAULT.withHugePages(HugePages.ALLOW).withPopulate(true))) {
            long huge = mappings(region).stream()
                    .mapToLong(mapping -> mapping.bytes("AnonHugePages"))
                    .sum();
            assertThat(region.stats().hugeBytes()).isEqualTo(huge);
            assumeTrue(
                    huge > 0, "this machine gives no huge pages now: they are switched off, or memory is fragmented");
        }
    }

    @Test
    void unmappedMemoryHasNoStats() {
        Ksm ksm = Ksm.system();
        MergeRegion memory = ksm.allocate(4 * ksm.pageSize());
        MergeRegion inside = ksm.adopt(memory.address(), ksm.pageSize());
        memory.close();
        assertThatThrownBy(memory::stats)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
        assertThatThrownBy(inside::stats)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("unmapped");
        assertThatThrownBy(() -> ksm.stats(List.of(inside))).isInstanceOf(IllegalStateException.class);
        inside.close();
        assertThat(ksm.stats(List.of())).isEmpty();
        try (MergeRegion other = Ksm.fallback().allocate(4 * ksm.pageSize())) {
            assertThatThrownBy(() -> ksm.stats(List.of(other))).isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Tag("long")
    @Test
    void readingIsCorrectWhileAdjacentRegionsOpenAndClose() throws InterruptedException {
        Ksm ksm = Ksm.system();
        long size = PAGES * ksm.pageSize();
        AtomicBoolean done = new AtomicBoolean();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        try (MergeRegion memory = allocate(ksm, Marking.MERGEABLE)) {
            List<MergeRegion> regions = neighbours(ksm, memory, new PageContents(salt, ksm.pageSize()));
            Runnable comeAndGo = () -> {
                try (MergeRegion last = ksm.adopt(memory.address() + 4 * size, size)) {
                    last.markUnmergeable();
                }
                MergeRegion unguarded = ksm.allocate(size, SMALL_PAGES.withGuardPages(false));
                unguarded.buffer().put(0, (byte) 1);
                assertThat(unguarded.stats().residentBytes()).isEqualTo(ksm.pageSize());
                unguarded.close();
            };
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                Thread thread = new Thread(() -> {
                    try {
                        while (!done.get()) {
                            comeAndGo.run();
                        }
                    } catch (Throwable t) {
                        failure.compareAndSet(null, t);
                    }
                });
                thread.start();
                threads.add(thread);
            }
            try {
                for (int round = 0; round < 30 && failure.get() == null; round++) {
                    ksm.stats(regions)
                            .forEach((region, stats) ->
                                    assertThat(stats.residentBytes()).isEqualTo(region.size()));
                    assertThat(ksm.stats().residentBytes()).isGreaterThanOrEqualTo(memory.size());
                }
            } finally {
                done.set(true);
                for (Thread thread : threads) {
                    thread.join();
                }
            }
            assertThat(failure.get()).isNull();
            assertThat(mappings(memory)).hasSize(1);
            assertThat(mappings(memory).get(0).vmFlags()).doesNotContain("rr", "sr");
            regions.forEach(MergeRegion::close);
        }
    }

    @Test
    void theGarbageOfTheSumDoesNotGrowWithTheNumberOfRegions() {
        Ksm ksm = Ksm.system();
        List<MergeRegion> regions = new ArrayList<>();
        try {
            regions.add(ksm.allocate(ksm.pageSize()));
            long withOne = leastAllocatedBySum(ksm);
            for (int i = 0; i < 1_000; i++) {
                regions.add(ksm.allocate(ksm.pageSize()));
            }
            assertThat(leastAllocatedBySum(ksm)).isLessThanOrEqualTo(withOne + 256);
        } finally {
            regions.forEach(MergeRegion::close);
        }
    }

    /**
     * Returns the minimum of several calls, because the interpreter and first calls allocate more than compiled code.
     */
    private static long leastAllocatedBySum(Ksm ksm) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long least = Long.MAX_VALUE;
        for (int i = 0; i < 20; i++) {
            long before = threads.getCurrentThreadAllocatedBytes();
            ksm.stats();
            least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
        }
        return least;
    }
}
