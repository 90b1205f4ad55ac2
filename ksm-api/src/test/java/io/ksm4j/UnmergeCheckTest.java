// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.ksm4j.internal.management.SharedTable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.locks.ReentrantLock;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** When unmarking is refused, what has been changed by then, and what is not checked. */
class UnmergeCheckTest {

    private static final int EIO = 5;
    private static final long MIB = 1L << 20;
    private static final long SIZE = 64 * MIB;
    private static final long ADDRESS = 0x10000000L;
    private static final RegionOptions PLAIN =
            RegionOptions.DEFAULT.withGuardPages(false).withVerify(false);

    @TempDir
    Path root;

    private final ScriptedBackend backend = new ScriptedBackend();
    private final List<MergeRegion> regions = new ArrayList<>();
    private Ksm ksm;

    @BeforeEach
    void mergeEverythingAndLeaveNoRoom() throws IOException {
        Files.createDirectories(root.resolve("proc/self"));
        ksm = new Ksm(new Kernel(backend, new ProcSelf(root.resolve("proc")), root));
        // A check that finds nothing merged resets the count of small unmarks.
        mergedPages(0);
        allocate(SIZE, PLAIN).markUnmergeable();
        mergedPages(100_000);
        left(40 * MIB);
    }

    @AfterEach
    void closeAll() throws IOException {
        left(1L << 40);
        regions.forEach(MergeRegion::close);
        assertThat(MergeRegistry.system().openRegions()).isZero();
    }

    private MergeRegion allocate(long size, RegionOptions options) {
        MergeRegion region = ksm.allocate(size, options);
        regions.add(region);
        backend.calls.clear();
        return region;
    }

    private MergeRegion adopt(RegionOptions options) {
        MergeRegion region = ksm.adopt(ADDRESS, SIZE, options);
        regions.add(region);
        backend.calls.clear();
        return region;
    }

    private void mergedPages(long pages) throws IOException {
        Files.writeString(root.resolve("proc/self/ksm_stat"), "ksm_zero_pages 0\nksm_merging_pages " + pages + "\n");
    }

    private void left(long bytes) throws IOException {
        Files.writeString(root.resolve("proc/meminfo"), "MemAvailable: " + (bytes >> 10) + " kB\n");
    }

    /** Two mappings of these lengths from {@link #ADDRESS} on, each merged completely or not at all. */
    private void smaps(long first, boolean firstMerged, long second, boolean secondMerged) throws IOException {
        Files.writeString(
                root.resolve("proc/self/smaps"),
                mapping(ADDRESS, first, firstMerged) + mapping(ADDRESS + first, second, secondMerged));
    }

    private static String mapping(long start, long length, boolean merged) {
        return String.format(
                Locale.ROOT,
                "%x-%x rw-p 00000000 00:00 0 \nRss: %d kB\nPss: 0 kB\nKSM: %d kB\nVmFlags: rd wr mg \n",
                start,
                start + length,
                length >> 10,
                merged ? length >> 10 : 0);
    }

    private static UnmergeRefusedException refused(Runnable call) {
        UnmergeRefusedException refusal = catchThrowableOfType(UnmergeRefusedException.class, call::run);
        assertThat(refusal).isNotNull();
        return refusal;
    }

    @Test
    void aRefusalChangesNothingAndNamesBothNumbers() {
        MergeRegion region = allocate(SIZE, PLAIN);
        List<MergeRegistry.Mark> marks = MergeRegistry.system().marks();
        UnmergeRefusedException refusal = refused(region::markUnmergeable);
        assertThat(refusal.neededBytes()).isEqualTo(SIZE);
        assertThat(refusal.leftBytes()).isEqualTo(40 * MIB);
        assertThat(refusal.limitedBy()).isEqualTo("MemAvailable of /proc/meminfo");
        assertThat(refusal.unmarkedBytes()).isZero();
        assertThat(refusal.failedCall()).isEmpty();
        assertThat(refusal)
                .hasMessageContaining(SIZE + " bytes")
                .hasMessageContaining(40 * MIB + " bytes")
                .hasMessageContaining("MemAvailable")
                .hasMessageContaining("Unmerge.STEPWISE");
        refused(() -> region.markUnmergeable(0, SIZE / 2));
        refused(() -> ksm.markUnmergeable(List.of(region)));
        assertThat(backend.calls).isEmpty();
        assertThat(region.isMergeable()).isTrue();
        assertThat(MergeRegistry.system().marks()).isEqualTo(marks);
        assertThat(MergeRegistry.system().mergeableBytes()).isEqualTo(SIZE);
    }

    @Test
    void keepsAReserve() throws IOException {
        MergeRegion region = allocate(SIZE, PLAIN);
        left(SIZE + UnmergeCheck.RESERVE - 1024);
        refused(region::markUnmergeable);
        left(SIZE + UnmergeCheck.RESERVE);
        region.markUnmergeable();
        assertThat(region.isMergeable()).isFalse();
    }

    @Test
    void checksSmallUnmarksWhenTheyAddUp() throws IOException {
        left(0);
        MergeRegion small = allocate(MIB, PLAIN);
        for (int i = 0; i < 4; i++) {
            small.markUnmergeable();
            small.markMergeable();
        }
        refused(small::markUnmergeable);
        refused(small::markUnmergeable);
        left(100 * MIB);
        small.markUnmergeable();
        left(0);
        small.markMergeable();
        assertThatCode(small::markUnmergeable).as("the count was reset").doesNotThrowAnyException();
    }

    @Test
    void noMoreIsMergedThanTheProcessHas() throws IOException {
        MergeRegion region = allocate(SIZE, PLAIN);
        mergedPages(20 * MIB / ScriptedBackend.PAGE);
        region.markUnmergeable();
        assertThat(backend.calls("madvise 13")).hasSize(1);
    }

    @Test
    void smapsDecidesIfTheBoundDoesNotFit() throws IOException {
        MergeRegion region = adopt(PLAIN);
        smaps(16 * MIB, true, SIZE - 16 * MIB, false);
        region.markUnmergeable();
        region.markMergeable();
        smaps(16 * MIB, false, SIZE - 16 * MIB, true);
        assertThat(refused(region::markUnmergeable).neededBytes()).isEqualTo(48 * MIB);
    }

    @Test
    void addsZeroPagesToWhatSmapsShows() throws IOException {
        MergeRegion region = adopt(PLAIN);
        smaps(16 * MIB, true, SIZE - 16 * MIB, false);
        Files.writeString(
                root.resolve("proc/self/ksm_stat"),
                "ksm_zero_pages " + 10 * MIB / ScriptedBackend.PAGE + "\nksm_merging_pages 100000\n");
        assertThat(refused(region::markUnmergeable).neededBytes()).isEqualTo(26 * MIB);
    }

    @Test
    void assumesAllMergedIfTheKernelDoesNotReportIt() throws IOException {
        Files.delete(root.resolve("proc/self/ksm_stat"));
        MergeRegion region = allocate(SIZE, PLAIN);
        ksm = new Ksm(new Kernel(backend, new ProcSelf(root.resolve("proc")), root));
        MergeRegion onAnOldKernel = allocate(SIZE, PLAIN);
        assertThat(refused(onAnOldKernel::markUnmergeable).neededBytes()).isEqualTo(SIZE);
        Files.writeString(root.resolve("proc/self/smaps"), "garbage\n\nRss: many\n10-x\n");
        assertThat(refused(onAnOldKernel::markUnmergeable).neededBytes()).isEqualTo(SIZE);
        assertThat(region.isMergeable()).isTrue();
    }

    @Test
    void largeUnmarksTakeTurnsWithThoseOfOtherClassLoaders() throws InterruptedException, IOException {
        MergeRegion region = allocate(SIZE, PLAIN);
        left(100 * MIB);
        Thread unmarking = new Thread(region::markUnmergeable);
        // All class loaders share the table.
        ReentrantLock turn = SharedTable.table().unmergeTurn;
        turn.lock();
        try {
            unmarking.start();
            while (unmarking.isAlive() && unmarking.getState() != Thread.State.TIMED_WAITING) {
                Thread.onSpinWait();
            }
            assertThat(backend.calls).isEmpty();
        } finally {
            turn.unlock();
        }
        unmarking.join();
        assertThat(region.isMergeable()).isFalse();
    }

    @Test
    void refusesIfALimitCannotBeRead() throws IOException {
        MergeRegion region = allocate(SIZE, PLAIN);
        Files.delete(root.resolve("proc/meminfo"));
        UnmergeRefusedException refusal = refused(region::markUnmergeable);
        assertThat(refusal.leftBytes()).isZero();
        assertThat(refusal.limitedBy()).isEqualTo("/proc/meminfo");
        assertThat(refusal)
                .hasMessageContaining("/proc/meminfo cannot be read (the file does not exist)")
                .hasMessageContaining("Unmerge.UNCHECKED")
                .hasMessageNotContaining("leaves");
        assertThat(region.isMergeable()).isTrue();
        region.markUnmergeable(Unmerge.UNCHECKED);
        assertThat(region.isMergeable()).isFalse();
    }

    @Test
    void unmarksInStepsUntilOneIsRefusedAndMarksThemAgain() throws IOException {
        MergeRegion region = adopt(PLAIN.withUnmerge(Unmerge.STEPWISE));
        left(20 * MIB);
        smaps(32 * MIB, false, 32 * MIB, true);
        UnmergeRefusedException refusal = refused(region::markUnmergeable);
        assertThat(refusal.unmarkedBytes()).isEqualTo(32 * MIB);
        assertThat(refusal.neededBytes()).isEqualTo(32 * MIB);
        assertThat(refusal).hasMessageContaining("after unmarking " + 32 * MIB + " bytes");
        assertThat(backend.calls)
                .containsExactly(
                        "madvise 13 10000000-11000000",
                        "madvise 13 11000000-12000000",
                        "madvise 12 11000000-12000000",
                        "madvise 12 10000000-11000000");
        assertThat(region.isMergeable()).isTrue();

        backend.calls.clear();
        refused(region::close);
        assertThat(region.isOpen()).isTrue();
        assertThat(region.isMergeable()).isTrue();
        assertThat(backend.calls).endsWith("madvise 12 11000000-12000000", "madvise 12 10000000-11000000");

        left(100 * MIB);
        backend.calls.clear();
        region.markUnmergeable();
        assertThat(backend.calls("madvise 13")).hasSize(4).endsWith("madvise 13 13000000-14000000");
        assertThat(region.isMergeable()).isFalse();
    }

    @Test
    void smallRangesShareAStep() throws IOException {
        left(100 * MIB);
        List<MergeRegion> many = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            many.add(allocate(6 * MIB, PLAIN));
        }
        ksm.markUnmergeable(many, Unmerge.STEPWISE);
        // A step holds as many whole regions as fit into 16 MiB.
        assertThat(backend.calls("process_madvise")).hasSize(4);
        assertThat(many).noneMatch(MergeRegion::isMergeable);
    }

    @Test
    void checksManyRegionsTogether() {
        List<MergeRegion> many =
                List.of(allocate(16 * MIB, PLAIN), allocate(16 * MIB, PLAIN), allocate(16 * MIB, PLAIN));
        assertThat(refused(() -> ksm.markUnmergeable(many)).neededBytes()).isEqualTo(48 * MIB);
        assertThat(backend.calls).isEmpty();
        assertThat(many).allMatch(MergeRegion::isMergeable);
        ksm.markUnmergeable(many, Unmerge.UNCHECKED);
        assertThat(many).noneMatch(MergeRegion::isMergeable);
    }

    @Test
    void checksManyRegionsUnlessAllAreUnchecked() {
        RegionOptions unchecked = PLAIN.withUnmerge(Unmerge.UNCHECKED);
        MergeRegion one = allocate(SIZE, unchecked);
        MergeRegion other = allocate(SIZE, unchecked);
        refused(() -> ksm.markUnmergeable(List.of(one, other, allocate(MIB, PLAIN))));
        ksm.markUnmergeable(List.of(one, other));
        assertThat(one.isMergeable()).isFalse();
    }

    @Test
    void doesNotCheckUncheckedUnmarks() {
        MergeRegion region = allocate(SIZE, PLAIN.withUnmerge(Unmerge.UNCHECKED));
        region.markUnmergeable();
        region.markMergeable();
        refused(() -> region.markUnmergeable(Unmerge.CHECKED));
        MergeRegion adopted = adopt(PLAIN.withUnmerge(Unmerge.UNCHECKED));
        adopted.close();
        assertThat(adopted.isOpen()).isFalse();
    }

    @Test
    void anAdoptedRegionThatCannotBeClosedStaysOpenAndMarked() throws IOException {
        MergeRegion region = adopt(PLAIN);
        refused(region::close);
        assertThat(region.isOpen()).isTrue();
        assertThat(region.isMergeable()).isTrue();
        assertThat(backend.calls("madvise")).isEmpty();
        left(100 * MIB);
        region.close();
        assertThat(region.isOpen()).isFalse();
        assertThat(backend.calls("madvise")).containsExactly("madvise 13 10000000-14000000");
    }

    @Test
    void closingAnAllocatedRegionCopiesNothing() throws IOException {
        left(0);
        MergeRegion region = allocate(SIZE, PLAIN);
        region.close();
        assertThat(region.isOpen()).isFalse();
        MergeRegion withABuffer = allocate(SIZE, PLAIN);
        ByteBuffer buffer = withABuffer.buffer(0, 4096);
        withABuffer.close();
        assertThat(backend.calls("madvise"))
                .extracting(call -> call.substring(0, 10))
                .containsExactly("madvise 4 ", "madvise 13");
        assertThat(buffer.get(0)).isZero();
    }

    @Test
    void undoesAFailedMarkWithoutACheck() {
        MergeRegion region = allocate(SIZE, PLAIN.withMarking(Marking.UNMERGEABLE));
        backend.answer("madvise 12", -EIO);
        assertThatThrownBy(region::markMergeable).isExactlyInstanceOf(KsmException.class);
        assertThat(backend.calls("madvise 13")).hasSize(1);
    }

    @Test
    void neverRefusesAFallbackRegion() {
        Ksm fallback =
                new Ksm(new Kernel(new FallbackBackend(backend, "a test"), new ProcSelf(root.resolve("proc")), root));
        MergeRegion region = fallback.allocate(SIZE, PLAIN);
        regions.add(region);
        region.markUnmergeable();
        assertThat(region.isMergeable()).isFalse();
        fallback.process().markMergeable();
        fallback.process().markUnmergeable();
        assertThat(fallback.process().isMergeable()).isFalse();
    }

    @ParameterizedTest
    @EnumSource(
            value = Unmerge.class,
            names = {"CHECKED", "STEPWISE"})
    void optingOutIsRefusedBeforeTheCall(Unmerge how) throws IOException {
        smaps(SIZE, true, SIZE, false);
        backend.answer("prctl 68", 1, 1);
        assertThat(refused(() -> ksm.process().markUnmergeable(how)).neededBytes())
                .isEqualTo(SIZE);
        assertThat(backend.calls("prctl 67")).isEmpty();
        left(100 * MIB);
        ksm.process().markUnmergeable(how);
        assertThat(backend.calls("prctl 67")).containsExactly("prctl 67 0");
    }

    @Test
    void doesNotCheckAnUncheckedOptOut() throws IOException {
        smaps(SIZE, true, SIZE, false);
        backend.answer("prctl 68", 1);
        ksm.process().markUnmergeable(Unmerge.UNCHECKED);
        assertThat(backend.calls("prctl 67")).containsExactly("prctl 67 0");
    }

    @Test
    void doesNotCheckAProcessThatIsNotOptedIn() throws IOException {
        smaps(SIZE, true, SIZE, false);
        ksm.process().markUnmergeable();
        assertThat(backend.calls("prctl 67")).containsExactly("prctl 67 0");
    }

    @Test
    void doesNotCheckAProcessThatCannotBeOptedIn() throws IOException {
        allocate(4096, PLAIN.withMarking(Marking.NEVER));
        smaps(SIZE, true, SIZE, false);
        backend.answer("prctl 68", 0, 1).answer("madvise 13", -EIO);
        assertThatThrownBy(() -> ksm.process().markMergeable()).isExactlyInstanceOf(KsmException.class);
        assertThat(backend.calls("prctl 67")).containsExactly("prctl 67 1", "prctl 67 0");
    }
}
