// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatNoException;
import static org.junit.jupiter.api.Assumptions.abort;

import io.ksm4j.AddressRange;
import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.KsmSupport;
import io.ksm4j.MarkNotTakenException;
import io.ksm4j.Marking;
import io.ksm4j.MemoryLimitExceededException;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry.Mark;
import io.ksm4j.RegionOptions;
import io.ksm4j.UnmappedRangeException;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.RegionStats;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The tests that every backend must pass: through it, the kernel must do what {@link Ksm} promises. Test a backend by a
 * subclass:
 *
 * <pre>{@code
 * class MyBackendTest extends BackendContract {
 *     private static final KsmBackend BACKEND = new MyBackendProvider().open();
 *     private static final Ksm KSM = Ksm.with(BACKEND);
 *
 *     protected KsmBackend backend() {
 *         return BACKEND;
 *     }
 *
 *     protected Ksm ksm() {
 *         return KSM;
 *     }
 * }
 * }</pre>
 *
 * @since 0.1.0
 */
@EnabledIfKsm
public abstract class BackendContract extends RegionContract {

    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_SHARED_ANONYMOUS = 0x21;
    private static final int MAP_PRIVATE_ANONYMOUS = 0x22;
    private static final int MADV_MERGEABLE = 12;
    private static final int MADV_UNMERGEABLE = 13;
    private static final int PR_SET_VMA = 0x53564d41;

    /** Some bytes less than the largest buffer. */
    private static final int LARGEST_WINDOW = Integer.MAX_VALUE - 8;

    private static final boolean HAS_HUGE_PAGES = Files.isDirectory(Path.of("/sys/kernel/mm/transparent_hugepage"));

    /** For subclasses. */
    protected BackendContract() {}

    /**
     * {@return the backend to test} It must be the same each time.
     */
    protected abstract KsmBackend backend();

    @Override
    protected final long map(long length) {
        // The pages on both sides stay inaccessible, so that the pages between are a mapping of their own.
        long address = backend().mmap(length + 2 * pageSize(), 0, MAP_PRIVATE_ANONYMOUS);
        assertThat(address).isPositive();
        assertThat(backend().mprotect(address + pageSize(), length, PROT_READ_WRITE))
                .isZero();
        return address + pageSize();
    }

    @Override
    protected final void unmap(long address, long length) {
        assertThat(backend().munmap(address - pageSize(), length + 2 * pageSize()))
                .isZero();
    }

    @Override
    protected void assertPages(long address, String picture) {
        super.assertPages(address, picture);
        assertThat(inKernel(address, picture.length())).as("pages in smaps").isEqualTo(picture);
    }

    private String inKernel(long address, int pages) {
        List<Mapping> mappings = Mapping.between(address, address + pages * pageSize());
        StringBuilder seen = new StringBuilder();
        int at = 0;
        for (int page = 0; page < pages; page++) {
            long start = address + page * pageSize();
            while (at < mappings.size() && mappings.get(at).end() <= start) {
                at++;
            }
            boolean mapped = at < mappings.size() && mappings.get(at).start() <= start;
            seen.append(!mapped ? ' ' : mappings.get(at).isMergeable() ? 'm' : '.');
        }
        return seen.toString();
    }

    private static Mapping theMapping(MergeRegion region) {
        List<Mapping> mappings =
                Mapping.between(region.address(), region.range().end());
        assertThat(mappings).as("mappings of %s", region).hasSize(1);
        return mappings.get(0);
    }

    @Test
    void moreThanTwoGibibytesAreReachedThroughWindows() {
        long size = (3L << 30) + pageSize();
        MergeRegion region = allocateIfThisMachineMay(size);
        region.buffer(0, 1 << 20).put(0, (byte) 1);
        region.buffer(size - 2, 2).put(1, (byte) 2);
        region.buffer(size - LARGEST_WINDOW, LARGEST_WINDOW).put(0, (byte) 3);

        assertThat(region.buffer(0, LARGEST_WINDOW).get(0)).isEqualTo((byte) 1);
        assertThat(region.buffer(size - 1, 1).get(0)).isEqualTo((byte) 2);
        assertThat(region.buffer(size - LARGEST_WINDOW, 1).get(0)).isEqualTo((byte) 3);
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(region::buffer);
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
                .isThrownBy(() -> region.buffer(0, LARGEST_WINDOW + 1));
        Mapping mapping = theMapping(region);
        assertThat(mapping.end() - mapping.start()).isEqualTo(size);
        assertThat(mapping.isMergeable()).isTrue();
    }

    /** Skips the test on machines where a limit forbids it. */
    private MergeRegion allocateIfThisMachineMay(long size) {
        try {
            return opened(ksm().allocate(size));
        } catch (MemoryLimitExceededException e) {
            return abort(e.getMessage());
        }
    }

    @Test
    void sizesThatNoMachineHasAreRefusedAndRegisterNothing() {
        long before = registry.openRegions();
        assertThatExceptionOfType(MemoryLimitExceededException.class)
                .isThrownBy(() -> ksm().allocate(1L << 61))
                .satisfies(e -> {
                    assertThat(e.mayRetry()).isFalse();
                    assertThat(e.limitedBy()).isEqualTo("address space");
                    assertThat(e.failedCall().orElseThrow().errnoName()).isEqualTo("ENOMEM");
                });
        assertThat(registry.openRegions()).isEqualTo(before);
    }

    @Test
    void guardPagesMakeARegionAMappingOfItsOwn() {
        for (int i = 0; i < 10; i++) {
            MergeRegion region = allocate(3, RegionOptions.DEFAULT);
            Mapping mapping = theMapping(region);
            assertThat(mapping.start()).isEqualTo(region.address());
            assertThat(mapping.end()).isEqualTo(region.range().end());
            assertThat(mapping.permissions()).isEqualTo("rw-p");
            assertThat(Mapping.between(region.address() - 1, region.address()))
                    .extracting(Mapping::permissions)
                    .containsExactly("---p");
            assertThat(Mapping.between(region.range().end(), region.range().end() + 1))
                    .extracting(Mapping::permissions)
                    .containsExactly("---p");
        }
    }

    @Test
    void withoutGuardPagesARegionIsStillWhole() {
        MergeRegion region = allocate(3, RegionOptions.DEFAULT.withGuardPages(false));
        assertPages(region, "mmm");
        assertThat(theMapping(region).permissions()).isEqualTo("rw-p");
    }

    @Test
    void hugePagesAreAllowedOrAvoided() {
        assertThat(theMapping(allocate(2, RegionOptions.DEFAULT)).vmFlags()).doesNotContain("hg", "nh");
        MergeRegion allowed = allocate(2, RegionOptions.DEFAULT.withHugePages(HugePages.ALLOW));
        assertThat(theMapping(allowed).vmFlags().contains("hg")).isEqualTo(HAS_HUGE_PAGES);
        MergeRegion avoided = allocate(2, RegionOptions.DEFAULT.withHugePages(HugePages.AVOID));
        assertThat(theMapping(avoided).vmFlags().contains("nh")).isEqualTo(HAS_HUGE_PAGES);
    }

    @Test
    void pagesArePopulatedUpFrontOrOnTouch() {
        RegionOptions smallPages = marking(Marking.UNMERGEABLE).withHugePages(HugePages.AVOID);
        MergeRegion upFront = allocate(64, smallPages.withPopulate(true));
        assertThat(theMapping(upFront).bytes("Rss")).isEqualTo(upFront.size());

        MergeRegion onTouch = allocate(64, smallPages);
        assertThat(theMapping(onTouch).bytes("Rss")).isZero();
        onTouch.buffer().put((int) (5 * pageSize()), (byte) 1);
        assertThat(theMapping(onTouch).bytes("Rss")).isEqualTo(pageSize());
    }

    @Test
    void theNameIsShownWhereTheKernelCan() {
        MergeRegion region = allocate(1, RegionOptions.DEFAULT.withName("prices"));
        Mapping mapping = theMapping(region);
        // Removing a name works on every kernel that has names.
        boolean kernelHasNames = backend().prctl(PR_SET_VMA, 0, region.address(), region.size(), 0) == 0;
        assertThat(mapping.name()).isEqualTo(kernelHasNames ? "[anon:prices]" : "");
        assertThat(region.owner()).isEqualTo("prices");
    }

    @Test
    void aClosedRegionIsUnmapped() {
        MergeRegion region = allocate(3, RegionOptions.DEFAULT);
        AddressRange range = region.range();
        region.close();
        assertThat(Mapping.between(range.start(), range.end()))
                .noneMatch(mapping -> mapping.start() == range.start() && mapping.end() == range.end());
    }

    @Test
    void aClosedRegionGivesItsPagesBackWhateverViewsItHas() {
        MergeRegion region = allocate(300, RegionOptions.DEFAULT);
        ByteBuffer buffer = region.buffer();
        for (int at = 0; at < buffer.capacity(); at++) {
            buffer.put(at, (byte) 1);
        }
        AddressRange range = region.range();
        region.close();
        // A buffer that cannot be revoked keeps the addresses and nothing else.
        assertThat(Mapping.between(range.start(), range.end()))
                .filteredOn(mapping -> mapping.start() == range.start() && mapping.end() == range.end())
                .allMatch(mapping -> mapping.bytes("Rss") == 0 && !mapping.isMergeable())
                .hasSizeLessThanOrEqualTo(revokesBuffers() ? 0 : 1);
        assertThat(buffer.capacity()).isEqualTo((int) range.length());
    }

    @Test
    void theWholePagesOfAnUnalignedBufferAreAdopted() {
        ByteBuffer all = ByteBuffer.allocateDirect((int) (6 * pageSize()));
        long address = backend().address(all);
        ByteBuffer unaligned = all.slice((int) (pageSize() - address % pageSize() + 1), (int) (4 * pageSize()));
        long start = backend().address(unaligned);
        assertThat(start % pageSize()).isEqualTo(1);

        MergeRegion region = opened(ksm().adopt(unaligned));
        assertThat(region.range()).isEqualTo(new AddressRange(start - 1 + pageSize(), 3 * pageSize()));
        assertPages(region.address() - pageSize(), ".mmm.");
        region.close();
        assertPages(region.address() - pageSize(), ".....");
    }

    @Test
    void theKernelIsAskedWhatIsReallyMarked() {
        MergeRegion region = allocate(4, RegionOptions.DEFAULT);
        assertThat(region.unmarkedRanges()).isEmpty();
        long second = region.address() + pageSize();
        assertThat(backend().madvise(second, pageSize(), MADV_UNMERGEABLE)).isZero();
        assertThat(region.unmarkedRanges()).containsExactly(new AddressRange(second, pageSize()));
        assertThat(region.isMergeable()).as("in the registry").isTrue();
        region.markMergeable();
        assertThat(region.unmarkedRanges()).isEmpty();
    }

    @Test
    void aHoleIsNamedAndNothingStaysMarked() {
        Holes memory = new Holes();
        try {
            List<Mark> marks = registry.marks();
            assertThatExceptionOfType(UnmappedRangeException.class)
                    .isThrownBy(() -> ksm().adopt(memory.start, memory.length))
                    .satisfies(e -> {
                        assertThat(e.gaps()).isEqualTo(memory.gaps());
                        assertThat(e).hasMessageContaining(memory.gaps().toString());
                        assertThat(e.mayRetry()).isFalse();
                        assertThat(e.failedCall()).hasValueSatisfying(call -> {
                            assertThat(call.name()).isEqualTo("madvise(MADV_MERGEABLE)");
                            assertThat(call.errnoName()).isEqualTo("ENOMEM");
                            assertThat(call.range()).contains(new AddressRange(memory.start, memory.length));
                        });
                    });
            assertThat(registry.marks()).isEqualTo(marks);
            assertPages(memory.start, ". . .");
        } finally {
            memory.unmap();
        }
    }

    @Test
    void aHoleMadeLaterFailsTheNextMarkAndNotTheClose() {
        Holes memory = new Holes();
        try {
            MergeRegion region = opened(ksm().adopt(memory.start, memory.length, marking(Marking.UNMERGEABLE)));
            assertThatExceptionOfType(UnmappedRangeException.class).isThrownBy(region::markMergeable);
            assertThat(region.isMergeable()).isFalse();
            assertPages(memory.start, ". . .");
            region.markMergeable(2 * pageSize(), pageSize());
            assertThat(inKernel(memory.start, 5)).isEqualTo(". m .");
            assertThatNoException().isThrownBy(region::close);
            assertPages(memory.start, ". . .");
        } finally {
            memory.unmap();
        }
    }

    @Test
    void ofManyRegionsNoneIsMarkedIfOneIsNotMapped() {
        long memory = memory(2 * MANY);
        List<MergeRegion> regions = manyRegions(memory);
        Holes holes = new Holes();
        try {
            MergeRegion unmapped = opened(ksm().adopt(holes.start, holes.length, marking(Marking.UNMERGEABLE)));
            regions.get(MANY - 3).markMergeable();
            String picture = "..".repeat(MANY - 3) + "m.....";
            for (int place : new int[] {0, 1, 1500, MANY}) {
                List<MergeRegion> batch = new ArrayList<>(regions);
                batch.add(place, unmapped);
                assertThatExceptionOfType(UnmappedRangeException.class)
                        .isThrownBy(() -> ksm().markMergeable(batch))
                        .satisfies(e -> assertThat(e.gaps()).isEqualTo(holes.gaps()));
                assertPages(memory, picture);
                assertPages(holes.start, ". . .");
            }
        } finally {
            holes.unmap();
        }
    }

    /** Five pages, of which the second and the fourth are not mapped. */
    private final class Holes {
        private final long length = 5 * pageSize();
        private final long start = map(length);

        private Holes() {
            for (AddressRange gap : gaps()) {
                assertThat(backend().munmap(gap.start(), gap.length())).isZero();
            }
        }

        List<AddressRange> gaps() {
            return List.of(
                    new AddressRange(start + pageSize(), pageSize()),
                    new AddressRange(start + 3 * pageSize(), pageSize()));
        }

        /** Leaves out the holes: other code may have mapped something there. */
        void unmap() {
            assertThat(backend().munmap(start - pageSize(), 2 * pageSize())).isZero();
            assertThat(backend().munmap(start + 2 * pageSize(), pageSize())).isZero();
            assertThat(backend().munmap(start + 4 * pageSize(), 2 * pageSize())).isZero();
        }
    }

    @Test
    void aSharedFileMappingIsReportedAsNotTaken(@TempDir Path directory) throws IOException {
        ByteBuffer shared = mapFile(directory, MapMode.READ_WRITE);
        AddressRange range = new AddressRange(backend().address(shared), shared.capacity());
        List<Mark> marks = registry.marks();
        assertThatExceptionOfType(MarkNotTakenException.class)
                .isThrownBy(() -> ksm().adopt(shared))
                .satisfies(e -> assertThat(e.ranges()).containsExactly(range));
        assertThat(registry.marks()).isEqualTo(marks);

        MergeRegion unverified = opened(ksm().adopt(shared, RegionOptions.DEFAULT.withVerify(false)));
        assertThat(unverified.isMergeable()).isTrue();
        assertThat(unverified.unmarkedRanges()).containsExactly(range);
        assertThat(inKernel(range.start(), 3)).isEqualTo("...");

        unverified.close();
        MergeRegion later = opened(ksm().adopt(shared, marking(Marking.UNMERGEABLE)));
        assertThatExceptionOfType(MarkNotTakenException.class).isThrownBy(later::markMergeable);
        assertThatExceptionOfType(MarkNotTakenException.class)
                .isThrownBy(() -> later.markMergeable(pageSize(), pageSize()))
                .satisfies(e -> assertThat(e.ranges())
                        .containsExactly(new AddressRange(range.start() + pageSize(), pageSize())));
        assertThat(later.isMergeable()).isFalse();
        assertThat(registry.marks()).isEqualTo(marks);
    }

    @Test
    void sharedAnonymousMemoryIsReportedAsNotTaken() {
        long length = 2 * pageSize();
        long shared = backend().mmap(length, PROT_READ_WRITE, MAP_SHARED_ANONYMOUS);
        try {
            assertThatExceptionOfType(MarkNotTakenException.class)
                    .isThrownBy(() -> ksm().adopt(shared, length))
                    .satisfies(e -> assertThat(e.ranges()).containsExactly(new AddressRange(shared, length)));
        } finally {
            assertThat(backend().munmap(shared, length)).isZero();
        }
    }

    @Test
    void aPrivateFileMappingIsTaken(@TempDir Path directory) throws IOException {
        MergeRegion region = opened(ksm().adopt(mapFile(directory, MapMode.PRIVATE)));
        assertPages(region, "mmm");
    }

    private ByteBuffer mapFile(Path directory, MapMode mode) throws IOException {
        Path file = Files.write(directory.resolve("data"), new byte[(int) (3 * pageSize())]);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            return channel.map(mode, 0, 3 * pageSize());
        }
    }

    @Test
    void optingTheProcessInMergesAllButSecretsAndOptingOutLeavesTheMarks() {
        assumeCanOptIn();
        MergeRegion marked = allocate(2, RegionOptions.DEFAULT);
        MergeRegion unmarked = allocate(2, marking(Marking.UNMERGEABLE));
        MergeRegion partly = allocate(2, marking(Marking.UNMERGEABLE));
        partly.markMergeable(pageSize(), pageSize());
        MergeRegion secret = allocate(2, marking(Marking.NEVER));
        MergeRegion adopted = adopt(memory(2), 2);
        ksm().process().markMergeable();
        try {
            assertThat(inKernel(marked)).isEqualTo("mm");
            assertThat(inKernel(unmarked)).isEqualTo("mm");
            assertThat(inKernel(partly)).isEqualTo("mm");
            assertThat(inKernel(secret)).isEqualTo("..");
            assertThat(inKernel(allocate(2, marking(Marking.NEVER)))).isEqualTo("..");
            adopted.close();
            assertThat(inKernel(adopted))
                    .as("closed, but the process is opted in")
                    .isEqualTo("mm");
            ksm().process().markMergeable();
            assertThat(inKernel(secret)).isEqualTo("..");
        } finally {
            ksm().process().markUnmergeable();
        }
        assertPages(marked, "mm");
        assertPages(unmarked, "..");
        assertPages(partly, ".m");
        assertPages(secret, "..");
        assertPages(adopted, "..");
    }

    private String inKernel(MergeRegion region) {
        return inKernel(region.address(), (int) (region.size() / pageSize()));
    }

    @Test
    void statsCountTheRegionAlone() {
        RegionOptions smallPages = marking(Marking.UNMERGEABLE).withHugePages(HugePages.AVOID);
        MergeRegion region = allocate(8, smallPages);
        allocate(8, smallPages.withPopulate(true));
        assertThat(region.stats().residentBytes()).isZero();
        region.buffer().put(0, (byte) 1).put((int) (3 * pageSize()), (byte) 1);
        RegionStats stats = region.stats();
        assertThat(stats.residentBytes()).isEqualTo(2 * pageSize());
        assertThat(stats.savedBytes()).isZero();
        assertThat(stats.mergedBytes().orElse(0)).isZero();
    }

    @Test
    @EnabledIfKsm(control = true)
    void equalPagesMergeAndTheStatsShowIt(RunningKsmd ksmd) {
        KsmSupport support = ksm().support();
        assertThat(support.canMark()).isTrue();
        assertThat(support.canMerge()).isTrue();
        assertThat(support.obstacles()).isEmpty();
        MergeRegion region = allocate(64, RegionOptions.DEFAULT.withHugePages(HugePages.AVOID));
        ByteBuffer buffer = region.buffer();
        for (int at = 0; at < buffer.capacity(); at++) {
            buffer.put(at, (byte) 0x5a);
        }
        ksmd.awaitFullScans(3);
        RegionStats merged = region.stats();
        assertThat(merged.savedBytes()).isGreaterThanOrEqualTo(region.size() - 2 * pageSize());
        assertThat(merged.mergedBytes().orElse(region.size())).isEqualTo(region.size());
        assertThat(merged.residentBytes()).isEqualTo(region.size());

        region.markUnmergeable();
        RegionStats apart = region.stats();
        assertThat(apart.savedBytes()).isZero();
        assertThat(apart.mergedBytes().orElse(0)).isZero();
        assertThat(buffer.get(buffer.capacity() - 1)).isEqualTo((byte) 0x5a);
    }

    @Test
    void supportNamesTheBackendAndSeesThatMarkingWorks() {
        KsmSupport support = ksm().support();
        assertThat(support.backend()).isEqualTo(backend().name()).isEqualTo(ksm().backend());
        assertThat(support.canMark()).isTrue();
        assertThat(support.obstacles())
                .extracting(Finding::kind)
                .isSubsetOf(Finding.Kind.KSMD_STOPPED, Finding.Kind.NO_PERMISSION, Finding.Kind.HIDDEN);
    }

    @Test
    void theBackendAnswersAsTheKernelDoes() {
        long memory = memory(1);
        assertThat(backend().pageSize()).isEqualTo(pageSize()).isPositive();
        assertThat(Long.bitCount(backend().pageSize())).isEqualTo(1);
        assertThat(backend().madvise(memory, pageSize(), MADV_MERGEABLE)).isZero();
        assertThat(backend().madvise(memory + 1, pageSize(), MADV_MERGEABLE)).isEqualTo(-22);
        assertThat(backend().madvise(memory, pageSize(), 4711)).isEqualTo(-22);
        assertThat(backend().mmap(0, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS)).isEqualTo(-22);
        assertThat(backend().munmap(memory + 1, pageSize())).isEqualTo(-22);
        assertThat(backend().mprotect(memory + 1, pageSize(), 0)).isEqualTo(-22);
        assertThat(backend().prctl(-1, 0, 0, 0, 0)).isEqualTo(-22);
        assertThat(backend().syscall(-1, 0, 0, 0, 0, 0)).isEqualTo(-38);
        assertThat(backend().madvise(memory, pageSize(), MADV_UNMERGEABLE)).isZero();
    }
}
