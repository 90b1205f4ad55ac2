// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.merging;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.RegionStats;
import io.ksm4j.tck.Mapping;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongUnaryOperator;
import org.awaitility.core.ThrowingRunnable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.ResourceLock;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The kernel merges marked pages, and unmerges written and unmarked pages. No byte changes. */
@EnabledIfKsm(control = true)
@ResourceLock(Aside.MARKED_MEMORY)
class RealMergingTest {

    @SuppressWarnings("UnusedVariable") // A field source.
    private static final List<String> BACKENDS = TestedBackends.NAMES;

    private static final int PAGES = 64;

    /** Makes the pages of this test differ from all other pages of this machine. */
    private final long salt = new SecureRandom().nextLong();

    @ParameterizedTest
    @FieldSource("BACKENDS")
    void equalPagesOfTwoRegionsMergeUntilWrittenOrUnmarked(String backend, RunningKsmd ksmd) throws IOException {
        Ksm ksm = Ksm.with(TestedBackends.open(backend));
        long page = ksm.pageSize();
        long size = PAGES * page;
        try (MergeRegion one = ksm.allocate(size);
                MergeRegion other = ksm.allocate(size)) {
            // Pages of closed regions are counted until ksmd removes their records.
            await().atMost(PATIENCE).until(RealMergingTest::mergingPages, merging -> merging == 0);
            PageContents pages = new PageContents(salt, page);
            pages.fill(one.buffer(), i -> i);
            pages.fill(other.buffer(), i -> i);
            awaitMerging(ksmd, () -> {
                assertStats(one, size, size, size / 2);
                assertStats(other, size, size, size / 2);
                assertThat(mergingPages()).isEqualTo(2 * PAGES);
            });
            assertThat(physicalPages(one)).hasSize(PAGES).isEqualTo(physicalPages(other));
            pages.verify(one.buffer(), i -> i);
            pages.verify(other.buffer(), i -> i);

            // A write makes this page private again.
            int written = 5;
            LongUnaryOperator afterWrite = i -> i == written ? 1000 : i;
            pages.fill(one.buffer(), written, 1000);
            assertThat(one.stats().mergedBytes()).hasValue(size - page);
            assertThat(other.stats().mergedBytes()).hasValue(size);
            pages.verify(one.buffer(), afterWrite);
            pages.verify(other.buffer(), i -> i);
            Set<Long> shared = physicalPages(one);
            shared.retainAll(physicalPages(other));
            assertThat(shared).hasSize(PAGES - 1);

            // Unmarking makes all pages of the region private again.
            one.markUnmergeable();
            assertStats(one, size, 0, 0);
            assertThat(kilobytes("KSM", one)).isZero();
            assertThat(kilobytes("Pss", one)).isEqualTo(kilobytes("Rss", one)).isEqualTo(size / 1024);
            assertThat(physicalPages(one)).hasSize(PAGES).doesNotContainAnyElementsOf(physicalPages(other));
            pages.verify(one.buffer(), afterWrite);
            pages.verify(other.buffer(), i -> i);
        }
    }

    /**
     * A shared page has at most max_page_sharing users; the next users get another shared page. A single page that is
     * left over is not shared.
     */
    @ParameterizedTest
    @ValueSource(ints = {2, 1000, 1024, 1025})
    void identicalPagesAreSharedByAsManyAsTheKernelAllows(int pages, RunningKsmd ksmd) throws IOException {
        Ksm ksm = Ksm.with(TestedBackends.open("ffm"));
        try (MergeRegion region = ksm.allocate(pages * ksm.pageSize(), RegionOptions.DEFAULT)) {
            long limit = ksmd.read("max_page_sharing");
            long leftOver = pages % limit == 1 ? 1 : 0;
            long shared = (pages - leftOver + limit - 1) / limit;
            PageContents content = new PageContents(salt, ksm.pageSize());
            AtomicLong attempt = new AtomicLong();
            // The counters are those of the whole machine: if another process ends in between, they are compared again.
            await().atMost(PATIENCE).untilAsserted(() -> {
                content.fill(region.buffer(), i -> i);
                ksmd.awaitFullScans(3);
                assertThat(region.stats().mergedBytes()).hasValue(0);
                long sharedBefore = ksmd.read("pages_shared");
                long sharingBefore = ksmd.read("pages_sharing");

                long same = attempt.decrementAndGet();
                content.fill(region.buffer(), i -> same);
                ksmd.awaitFullScans(4);
                assertThat(region.stats().mergedBytes()).hasValue((pages - leftOver) * ksm.pageSize());
                assertThat(physicalPages(region)).hasSize((int) (shared + leftOver));
                assertThat(ksmd.read("pages_shared") - sharedBefore).isEqualTo(shared);
                assertThat(ksmd.read("pages_sharing") - sharingBefore).isEqualTo(pages - leftOver - shared);
                content.verify(region.buffer(), i -> same);
            });
        }
    }

    @Test
    void adjacentRegionsAreCountedSeparately(RunningKsmd ksmd) {
        Ksm ksm = Ksm.with(TestedBackends.open("ffm"));
        long size = PAGES * ksm.pageSize();
        List<MergeRegion> row = new ArrayList<>();
        try {
            // The kernel fills gaps first, and then maps adjacent ranges.
            for (int i = 0; i < 200; i++) {
                row.add(ksm.allocate(size));
            }
            row.sort(Comparator.comparingLong(MergeRegion::address));
            int first = 0;
            while (row.get(first + 2).address() - row.get(first).address() != 2 * (size + 2 * ksm.pageSize())) {
                first++;
            }
            MergeRegion merged = row.get(first);
            MergeRegion unique = row.get(first + 1);
            MergeRegion untouched = row.get(first + 2);
            PageContents pages = new PageContents(salt, ksm.pageSize());
            pages.fill(merged.buffer(), i -> i / 2);
            pages.fill(unique.buffer(), i -> 1000 + i);
            awaitMerging(ksmd, () -> {
                assertStats(merged, size, size, size / 2);
            });
            assertStats(unique, size, 0, 0);
            assertStats(untouched, 0, 0, 0);
        } finally {
            row.forEach(MergeRegion::close);
        }
    }

    @Test
    void hugePagesAreSplitAndMerged(RunningKsmd ksmd) throws IOException {
        Ksm ksm = Ksm.with(TestedBackends.open("ffm"));
        long size = 8 << 20;
        RegionOptions huge =
                RegionOptions.DEFAULT.withHugePages(HugePages.ALLOW).withPopulate(true);
        try (MergeRegion region = ksm.allocate(size, huge.withMarking(Marking.UNMERGEABLE))) {
            long before = kilobytes("AnonHugePages", region);
            PageContents pages = new PageContents(salt, ksm.pageSize());
            long half = size / ksm.pageSize() / 2;
            pages.fill(region.buffer(), i -> i % half);
            region.markMergeable();
            awaitMerging(ksmd, () -> {
                assertStats(region, size, size, size / 2);
            });
            assertThat(kilobytes("AnonHugePages", region)).isZero();
            pages.verify(region.buffer(), i -> i % half);
            assumeTrue(
                    before > 0, "this machine gives no huge pages now: they are switched off, or memory is fragmented");
        }
    }

    @Test
    void aProcessThatOptsInMergesAllButSecretRegions(RunningKsmd ksmd) throws IOException {
        Ksm ksm = Ksm.with(TestedBackends.open("ffm"));
        long size = PAGES * ksm.pageSize();
        RegionOptions never = RegionOptions.DEFAULT.withMarking(Marking.NEVER);
        try (MergeRegion unmarked = ksm.allocate(size, RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE));
                MergeRegion marked = ksm.allocate(size);
                MergeRegion secret = ksm.allocate(size, never)) {
            PageContents pages = new PageContents(salt, ksm.pageSize());
            pages.fill(unmarked.buffer(), i -> i);
            pages.fill(marked.buffer(), i -> i);
            pages.fill(secret.buffer(), i -> i);
            ksmd.awaitFullScans(3);
            assertThat(unmarked.stats().mergedBytes()).as("before opting in").hasValue(0);

            ksm.process().markMergeable();
            try (MergeRegion laterSecret = ksm.allocate(size, never)) {
                pages.fill(laterSecret.buffer(), i -> i);
                awaitMerging(ksmd, () -> {
                    assertStats(unmarked, size, size, size / 2);
                    assertStats(marked, size, size, size / 2);
                });
                assertStats(secret, size, 0, 0);
                assertStats(laterSecret, size, 0, 0);
                pages.verify(laterSecret.buffer(), i -> i);
            } finally {
                ksm.process().markUnmergeable();
            }
            assertStats(unmarked, size, 0, 0);
            assertThat(marked.unmarkedRanges()).as("marked again").isEmpty();
            pages.verify(unmarked.buffer(), i -> i);
            pages.verify(marked.buffer(), i -> i);
            pages.verify(secret.buffer(), i -> i);
        }
    }

    /** Keeps the content until its standard input ends, and then verifies it. */
    static final class ChildWithTheSamePages {
        public static void main(String[] arguments) throws IOException {
            Ksm ksm = Ksm.with(TestedBackends.open(arguments[0]));
            PageContents pages = new PageContents(Long.parseLong(arguments[1]), ksm.pageSize());
            try (MergeRegion region = ksm.allocate(PAGES * ksm.pageSize())) {
                pages.fill(region.buffer(), i -> i);
                System.out.println("filled");
                int end = System.in.read();
                System.out.println("merged " + region.stats().mergedBytes().orElseThrow());
                pages.verify(region.buffer(), i -> i);
                System.out.println(end == -1 ? "intact" : "not the end");
            }
        }
    }

    @ParameterizedTest
    @FieldSource("BACKENDS")
    void equalPagesOfTwoJvmsMerge(String backend) throws Exception {
        Ksm ksm = Ksm.with(TestedBackends.open("ffm"));
        long size = PAGES * ksm.pageSize();
        PageContents pages = new PageContents(salt, ksm.pageSize());
        try (RunningJvm child = RunningJvm.start(ChildWithTheSamePages.class, backend, Long.toString(salt));
                MergeRegion region = ksm.allocate(size)) {
            child.awaitLine("filled");
            pages.fill(region.buffer(), i -> i);
            try (RunningKsmd ksmd = RunningKsmd.start()) {
                awaitMerging(ksmd, () -> {
                    assertStats(region, size, size, size / 2);
                });
                // The other JVM must not see what this one writes.
                pages.fill(region.buffer(), i -> i + 1000);
                assertStats(region, size, 0, 0);
                assertThat(child.finish()).isZero();
            }
            child.awaitLine("merged " + size);
            child.awaitLine("intact");
            pages.verify(region.buffer(), i -> i + 1000);
        }
    }

    /**
     * A page that is locked or changes while ksmd scans it is merged in a later scan. While other pages change, ksmd
     * may miss an equal page.
     */
    private static void awaitMerging(RunningKsmd ksmd, ThrowingRunnable merged) {
        await().atMost(PATIENCE).untilAsserted(() -> {
            ksmd.awaitFullScans(3);
            merged.run();
        });
    }

    private static void assertStats(MergeRegion region, long resident, long merged, long saved) {
        RegionStats stats = region.stats();
        assertThat(stats.residentBytes()).as("resident").isEqualTo(resident);
        assertThat(stats.mergedBytes()).as("merged").hasValue(merged);
        assertThat(stats.savedBytes()).as("saved").isEqualTo(saved);
    }

    private static long kilobytes(String counter, MergeRegion region) {
        return Mapping.between(region.range().start(), region.range().end()).stream()
                        .mapToLong(mapping -> mapping.bytes(counter))
                        .sum()
                >> 10;
    }

    private static long mergingPages() throws IOException {
        return Files.readAllLines(Path.of("/proc/self/ksm_stat")).stream()
                .filter(line -> line.startsWith("ksm_merging_pages"))
                .mapToLong(line -> Long.parseLong(line.substring(line.indexOf(' ') + 1)))
                .findFirst()
                .orElseThrow();
    }

    /**
     * Returns the page frame numbers of a region: bits 0 to 54 in {@code /proc/self/pagemap}, which only root can read.
     */
    private static Set<Long> physicalPages(MergeRegion region) throws IOException {
        long pageSize = Ksm.system().pageSize();
        ByteBuffer entries = ByteBuffer.allocate((int) (region.size() / pageSize * Long.BYTES))
                .order(ByteOrder.nativeOrder());
        try (FileChannel pagemap = FileChannel.open(Path.of("/proc/self/pagemap"))) {
            long position = region.address() / pageSize * Long.BYTES;
            while (entries.hasRemaining()) {
                int read = pagemap.read(entries, position + entries.position());
                assertThat(read).isPositive();
            }
        }
        Set<Long> frames = new HashSet<>();
        entries.flip();
        while (entries.hasRemaining()) {
            long entry = entries.getLong();
            assertThat(entry < 0).as("present").isTrue();
            frames.add(entry & ((1L << 55) - 1));
        }
        assertThat(frames).as("frame numbers are shown").doesNotContain(0L);
        return frames;
    }
}
