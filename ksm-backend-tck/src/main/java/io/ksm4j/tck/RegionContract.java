// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatNoException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import io.ksm4j.AddressRange;
import io.ksm4j.HugePages;
import io.ksm4j.InvalidRangeException;
import io.ksm4j.Ksm;
import io.ksm4j.KsmUnsupportedException;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.MergeRegistry.Mark;
import io.ksm4j.RegionOptions;
import io.ksm4j.Unmerge;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.assertj.core.api.ThrowableAssertAlternative;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * The tests that every {@link Ksm} must pass, including {@link Ksm#fallback()}, which merges nothing. {@link
 * BackendContract} adds the tests for backends.
 *
 * <p>The tests describe pages by pictures, one character for each page: {@code m} is mergeable, {@code .} is not
 * mergeable, and a space is not mapped.
 *
 * @since 0.1.0
 */
public abstract class RegionContract {

    /** So many ranges that {@code process_madvise}, which takes 1024 of them, has to be called three times. */
    static final int MANY = 2500;

    final MergeRegistry registry = MergeRegistry.system();

    private final List<MergeRegion> opened = new ArrayList<>();
    private final List<AddressRange> mapped = new ArrayList<>();
    private long openRegionsBefore;
    private long mergeableBytesBefore;

    /** For subclasses. */
    protected RegionContract() {}

    /**
     * {@return the object to test} It must be the same each time.
     */
    protected abstract Ksm ksm();

    /**
     * {@return whether buffers of a closed region throw {@link IllegalStateException}} Otherwise they read zeros, which
     * is the default.
     */
    protected boolean revokesBuffers() {
        return false;
    }

    /**
     * Maps memory to adopt. The fallback never accesses adopted memory, so this implementation maps nothing.
     *
     * @param length bytes
     * @return the address, at a page boundary
     */
    protected long map(long length) {
        return 1L << 61;
    }

    /**
     * Unmaps memory from {@link #map}.
     *
     * @param address what {@code map} returned
     * @param length what was passed to {@code map}
     */
    protected void unmap(long address, long length) {}

    /**
     * Asserts which pages are mergeable, according to every source there is.
     *
     * @param address the start of the first page
     * @param picture one character for each page
     */
    protected void assertPages(long address, String picture) {
        StringBuilder seen = new StringBuilder();
        for (int page = 0; page < picture.length(); page++) {
            seen.append(registry.isMergeable(address + page * pageSize()) ? 'm' : '.');
        }
        assertThat(seen).as("pages in the registry").hasToString(picture.replace(' ', '.'));
    }

    final void assertPages(MergeRegion region, String picture) {
        assertThat(picture).hasSize((int) (region.size() / pageSize()));
        assertPages(region.address(), picture);
    }

    final long pageSize() {
        return ksm().pageSize();
    }

    /** Closes the region after the test. */
    final MergeRegion opened(MergeRegion region) {
        opened.add(region);
        return region;
    }

    final MergeRegion allocate(int pages, RegionOptions options) {
        return opened(ksm().allocate(pages * pageSize(), options));
    }

    final MergeRegion adopt(long address, int pages) {
        return opened(ksm().adopt(address, pages * pageSize()));
    }

    /** Maps pages that do not belong to a region, and unmaps them after the test. */
    final long memory(int pages) {
        AddressRange memory = new AddressRange(map(pages * pageSize()), pages * pageSize());
        mapped.add(memory);
        return memory.start();
    }

    static RegionOptions marking(Marking marking) {
        return RegionOptions.DEFAULT.withMarking(marking);
    }

    @BeforeEach
    final void rememberRegistry() {
        openRegionsBefore = registry.openRegions();
        mergeableBytesBefore = registry.mergeableBytes();
    }

    @AfterEach
    final void leaveNothingBehind() {
        opened.forEach(MergeRegion::close);
        mapped.forEach(memory -> unmap(memory.start(), memory.length()));
        assertThat(registry.openRegions()).as("open regions").isEqualTo(openRegionsBefore);
        assertThat(registry.mergeableBytes()).as("mergeable bytes").isEqualTo(mergeableBytesBefore);
        assertThat(canOptIn() && ksm().process().isMergeable())
                .as("process opted in")
                .isFalse();
    }

    private boolean canOptIn() {
        try {
            ksm().process().isMergeable();
            return true;
        } catch (KsmUnsupportedException tooOld) {
            return false;
        }
    }

    /** Skips the test on kernels where a process cannot opt in. */
    final void assumeCanOptIn() {
        assumeTrue(canOptIn(), "on this kernel, a process cannot opt in");
    }

    @Test
    void allocatedMemoryIsWholePagesOfZeros() {
        for (long size : new long[] {1, 3, pageSize() - 1, pageSize(), pageSize() + 1, 5 * pageSize(), 1_000_003}) {
            try (MergeRegion region = ksm().allocate(size)) {
                long pages = (size + pageSize() - 1) / pageSize();
                assertThat(region.size()).as("size of %d bytes", size).isEqualTo(pages * pageSize());
                assertThat(region.address() % pageSize()).isZero();
                assertThat(region.range()).isEqualTo(new AddressRange(region.address(), region.size()));
                assertThat(region.isOpen()).isTrue();
                ByteBuffer all = region.buffer();
                assertThat(all.capacity()).isEqualTo((int) region.size());
                assertThat(all.mismatch(ByteBuffer.allocate(all.capacity()))).isEqualTo(-1);
            }
        }
    }

    @Test
    void buffersAreWindowsOntoTheSameMemory() {
        MergeRegion region = allocate(3, RegionOptions.DEFAULT);
        int last = (int) region.size() - 1;
        region.buffer().put(0, (byte) 1).put(last, (byte) 2).putShort((int) pageSize() - 1, (short) 0x0304);

        assertThat(region.buffer().order()).isEqualTo(ByteOrder.BIG_ENDIAN);
        assertThat(region.buffer().isDirect()).isTrue();
        assertThat(region.buffer(0, 1).get(0)).isEqualTo((byte) 1);
        assertThat(region.buffer(last, 1).get(0)).isEqualTo((byte) 2);
        assertThat(region.buffer(pageSize() - 1, 2).getShort(0)).isEqualTo((short) 0x0304);
        assertThat(region.buffer(region.size(), 0).capacity()).isZero();
    }

    @Test
    void everyCombinationOfOptionsGivesMemory() {
        for (Marking marking : Marking.values()) {
            for (HugePages hugePages : HugePages.values()) {
                for (boolean populate : new boolean[] {false, true}) {
                    for (boolean guardPages : new boolean[] {false, true}) {
                        RegionOptions options = new RegionOptions(
                                "prices", marking, hugePages, populate, guardPages, true, Unmerge.CHECKED);
                        try (MergeRegion region = ksm().allocate(2 * pageSize(), options)) {
                            ByteBuffer buffer = region.buffer();
                            assertThat(buffer.mismatch(ByteBuffer.allocate(buffer.capacity())))
                                    .as("%s", options)
                                    .isEqualTo(-1);
                            buffer.put(0, (byte) 1).put(buffer.capacity() - 1, (byte) 1);
                            assertPages(region, marking == Marking.MERGEABLE ? "mm" : "..");
                        }
                    }
                }
            }
        }
    }

    @Test
    void marksCanBeRepeatedAndTakenBack() {
        MergeRegion region = allocate(2, marking(Marking.UNMERGEABLE));
        assertPages(region, "..");
        assertThat(region.isMergeable()).isFalse();
        for (int i = 0; i < 2; i++) {
            region.markMergeable();
            assertPages(region, "mm");
            assertThat(region.isMergeable()).isTrue();
        }
        for (int i = 0; i < 2; i++) {
            region.markUnmergeable();
            assertPages(region, "..");
            assertThat(region.isMergeable()).isFalse();
        }
    }

    @Test
    void markingAgainDoesNotChangeSinceWhen() {
        MergeRegion region = allocate(1, RegionOptions.DEFAULT);
        Instant since = registry.marksCovering(region.address()).get(0).since();
        region.markMergeable();
        assertThat(registry.marksCovering(region.address()))
                .extracting(Mark::since)
                .containsExactly(since);
    }

    @Test
    void partsAreMarkedByThemselves() {
        long page = pageSize();
        MergeRegion region = allocate(6, marking(Marking.UNMERGEABLE));
        region.markMergeable(page, 2 * page);
        assertPages(region, ".mm...");
        region.markMergeable(2 * page, 3 * page);
        assertPages(region, ".mmmm.");
        region.markUnmergeable(2 * page, page);
        assertPages(region, ".m.mm.");
        assertThat(region.isMergeable()).isFalse();
        assertThat(region.unmarkedRanges())
                .containsExactly(
                        new AddressRange(region.address(), page),
                        new AddressRange(region.address() + 2 * page, page),
                        new AddressRange(region.address() + 5 * page, page));
        region.markUnmergeable();
        assertPages(region, "......");
    }

    @Test
    void aRegionMarkedPartByPartIsMarked() {
        MergeRegion region = allocate(3, marking(Marking.UNMERGEABLE));
        for (int part : new int[] {2, 0, 1}) {
            assertThat(region.isMergeable()).isFalse();
            region.markMergeable(part * pageSize(), pageSize());
        }
        assertThat(region.isMergeable()).isTrue();
        assertThat(region.unmarkedRanges()).isEmpty();
        assertThat(registry.marksCovering(region.address()))
                .extracting(Mark::range)
                .containsExactly(region.range());
        region.markUnmergeable(pageSize(), pageSize());
        assertPages(region, "m.m");
    }

    @Test
    void discardedPagesHoldZerosAndStayMarked() {
        long page = pageSize();
        MergeRegion region = allocate(4, marking(Marking.UNMERGEABLE));
        region.markMergeable(0, 2 * page);
        ByteBuffer buffer = region.buffer();
        for (int at = 0; at < buffer.capacity(); at++) {
            buffer.put(at, (byte) 1);
        }
        region.discard(page, 2 * page);
        for (int at = 0; at < buffer.capacity(); at++) {
            boolean isDiscarded = at >= page && at < 3 * page;
            assertThat(buffer.get(at)).as("byte %d", at).isEqualTo((byte) (isDiscarded ? 0 : 1));
        }
        assertPages(region, "mm..");
    }

    @Test
    void whatMustNotMergeIsNeverMarked() {
        MergeRegion secret = allocate(2, marking(Marking.NEVER));
        assertThatIllegalState(secret::markMergeable).withMessageContaining("NEVER");
        assertThatIllegalState(() -> secret.markMergeable(0, pageSize()));
        assertThatIllegalState(() -> ksm().markMergeable(List.of(secret)));
        assertThatIllegalState(() -> ksm().adopt(secret.address(), pageSize()));
        secret.markUnmergeable();
        assertPages(secret, "..");
    }

    @Test
    void memoryThatMayMergeCannotBecomeSecretWhileItIsOpen() {
        long memory = memory(2);
        MergeRegion open = opened(ksm().adopt(memory, pageSize(), marking(Marking.UNMERGEABLE)));
        assertThatIllegalState(() -> ksm().adopt(memory, 2 * pageSize(), marking(Marking.NEVER)));
        open.close();
        MergeRegion secret = opened(ksm().adopt(memory, 2 * pageSize(), marking(Marking.NEVER)));
        assertThatIllegalState(secret::markMergeable);
        assertPages(secret, "..");
    }

    @Test
    void adoptingCoversTheWholePagesInside() {
        long memory = memory(4);
        MergeRegion region = opened(ksm().adopt(memory + 1, 4 * pageSize() - 2));
        assertThat(region.range()).isEqualTo(new AddressRange(memory + pageSize(), 2 * pageSize()));
        assertPages(memory, ".mm.");
        region.close();
        assertPages(memory, "....");
    }

    @Test
    void adoptingADirectBufferCoversTheWholePagesOfItsCapacity() {
        ByteBuffer buffer = ByteBuffer.allocateDirect((int) (5 * pageSize()));
        buffer.put(7, (byte) 7).position(9).limit(11);
        MergeRegion region = opened(ksm().adopt(buffer));
        assertThat(region.size()).isBetween(4 * pageSize(), 5 * pageSize());
        assertThat(region.isMergeable()).isTrue();
        assertPages(region, "m".repeat((int) (region.size() / pageSize())));
        region.close();
        assertThat(buffer.position()).isEqualTo(9);
        assertThat(buffer.limit()).isEqualTo(11);
        buffer.clear();
        assertThat(buffer.get(7)).as("written by the owner").isEqualTo((byte) 7);
    }

    @Test
    void adoptedMemoryHasNoViewsOfItsOwn() {
        MergeRegion region = adopt(memory(1), 1);
        assertThatThrownBy(region::buffer).isInstanceOf(UnsupportedOperationException.class);
        assertThatThrownBy(() -> region.buffer(0, 1)).isInstanceOf(UnsupportedOperationException.class);
        assertThatThrownBy(() -> region.view(ByteBuffer.class)).isInstanceOf(UnsupportedOperationException.class);
        assertThatThrownBy(() -> region.discard(0, pageSize())).isInstanceOf(UnsupportedOperationException.class);
    }

    @Test
    void pagesStayMergeableWhileOneRegionWantsThem() {
        long memory = memory(6);
        MergeRegion left = adopt(memory, 4);
        MergeRegion right = adopt(memory + 2 * pageSize(), 4);
        assertPages(memory, "mmmmmm");
        assertThat(registry.marksCovering(memory + 2 * pageSize())).hasSize(2);
        assertThat(registry.mergeableBytes() - mergeableBytesBefore).isEqualTo(6 * pageSize());

        left.markUnmergeable();
        assertPages(memory, "..mmmm");
        left.markMergeable(pageSize(), pageSize());
        assertPages(memory, ".mmmmm");
        right.markUnmergeable(3 * pageSize(), pageSize());
        assertPages(memory, ".mmmm.");
        right.close();
        assertPages(memory, ".m....");
        left.close();
        assertPages(memory, "......");
    }

    @Test
    void whatWasAdoptedInsideAnAllocatedRegionIsGoneWithIt() {
        MergeRegion owner = allocate(3, marking(Marking.UNMERGEABLE));
        MergeRegion inside = opened(ksm().adopt(owner.address() + pageSize(), pageSize()));
        assertPages(owner, ".m.");
        owner.close();
        assertThat(registry.marksCovering(inside.address())).isEmpty();
        assertThatIllegalState(inside::markMergeable);
        assertThatNoException().isThrownBy(inside::close);
    }

    @Test
    void memoryWhoseOwnerFreedItIsLeftAlone() {
        AtomicBoolean alive = new AtomicBoolean(true);
        MergeRegion region = opened(ksm().adopt(memory(1), pageSize(), RegionOptions.DEFAULT, alive::get));
        assertPages(region, "m");
        alive.set(false);
        assertThatIllegalState(region::markMergeable);
        assertThatIllegalState(region::markUnmergeable);
        assertThatIllegalState(() -> ksm().markUnmergeable(List.of(region)));
        assertThat(region.isOpen()).isTrue();
        assertThatNoException().isThrownBy(region::close);
        assertThat(registry.marksCovering(region.address())).isEmpty();
        assertThatIllegalState(
                () -> ksm().adopt(region.address(), pageSize(), marking(Marking.UNMERGEABLE), alive::get));
    }

    /** Returns a region for every second page, so that no two ranges become one. */
    final List<MergeRegion> manyRegions(long memory) {
        List<MergeRegion> regions = new ArrayList<>();
        for (int i = 0; i < MANY; i++) {
            regions.add(opened(ksm().adopt(memory + 2L * i * pageSize(), pageSize(), marking(Marking.UNMERGEABLE))));
        }
        return regions;
    }

    @Test
    void manyRegionsAreMarkedAtOnce() {
        long memory = memory(2 * MANY);
        List<MergeRegion> regions = manyRegions(memory);
        ksm().markMergeable(regions);
        assertPages(memory, "m.".repeat(MANY));
        assertThat(regions).allMatch(MergeRegion::isMergeable);
        ksm().markUnmergeable(regions);
        assertPages(memory, "..".repeat(MANY));
        assertThat(regions).noneMatch(MergeRegion::isMergeable);
    }

    @Test
    void ofManyRegionsAllAreMarkedOrNone() {
        long memory = memory(2 * MANY);
        List<MergeRegion> regions = manyRegions(memory);
        regions.get(7).markMergeable();
        regions.get(MANY - 1).close();
        assertThatIllegalState(() -> ksm().markMergeable(regions)).withMessageContaining("closed");
        assertThatIllegalState(() -> ksm().markUnmergeable(regions)).withMessageContaining("closed");
        assertPages(memory, "..".repeat(7) + "m." + "..".repeat(MANY - 8));
    }

    @Test
    void aBatchMayBeEmptyAndMayRepeatAndOverlap() {
        long memory = memory(4);
        MergeRegion left = opened(ksm().adopt(memory, 3 * pageSize(), marking(Marking.UNMERGEABLE)));
        MergeRegion right = opened(ksm().adopt(memory + pageSize(), 3 * pageSize(), marking(Marking.UNMERGEABLE)));
        ksm().markMergeable(List.of());
        ksm().markUnmergeable(List.of());
        assertPages(memory, "....");
        ksm().markMergeable(List.of(left, right, left));
        assertPages(memory, "mmmm");
        assertThat(registry.mergeableBytes() - mergeableBytesBefore).isEqualTo(4 * pageSize());
        ksm().markUnmergeable(List.of(right, right));
        assertPages(memory, "mmm.");
        ksm().markUnmergeable(List.of(right, left));
        assertPages(memory, "....");
    }

    @Test
    void theProcessIsOptedInAndOut() {
        assumeCanOptIn();
        assertThat(ksm().process().isMergeable()).isFalse();
        ksm().process().markMergeable();
        try {
            assertThat(ksm().process().isMergeable()).isTrue();
        } finally {
            ksm().process().markUnmergeable();
        }
        assertThat(ksm().process().isMergeable()).isFalse();
    }

    @Test
    void theRegistryKnowsWhoWantsWhatSinceWhen() {
        Instant before = Instant.now().truncatedTo(ChronoUnit.MILLIS);
        MergeRegion named = allocate(2, RegionOptions.DEFAULT.withName("prices"));
        MergeRegion unnamed = adopt(memory(2), 2);
        allocate(1, marking(Marking.UNMERGEABLE));
        Instant after = Instant.now();

        assertThat(named.owner()).isEqualTo("prices");
        assertThat(unnamed.owner()).isEqualTo(Thread.currentThread().getName());
        assertThat(registry.openRegions()).isEqualTo(openRegionsBefore + 3);
        assertThat(registry.mergeableBytes()).isEqualTo(mergeableBytesBefore + 4 * pageSize());
        for (MergeRegion region : List.of(named, unnamed)) {
            for (long address : new long[] {region.address(), region.range().end() - 1}) {
                assertThat(registry.marksCovering(address)).singleElement().satisfies(mark -> {
                    assertThat(mark.range()).isEqualTo(region.range());
                    assertThat(mark.owner()).isEqualTo(region.owner());
                    assertThat(mark.since()).isBetween(before, after);
                });
            }
            assertThat(registry.marks())
                    .filteredOn(mark -> mark.range().equals(region.range()))
                    .hasSize(1);
        }
        assertThat(registry.marks()).isSortedAccordingTo((a, b) -> a.range().compareTo(b.range()));
        assertThat(registry.mergeableRanges())
                .anyMatch(range -> range.contains(named.address())
                        && range.end() >= named.range().end());
        assertThat(ksm().registry()).isSameAs(registry);
    }

    @Test
    void touchingAndOverlappingMarksAreOneMergeableRange() {
        long memory = memory(6);
        adopt(memory, 2);
        adopt(memory + 2 * pageSize(), 2);
        adopt(memory + 3 * pageSize(), 3);
        assertThat(registry.marks()).hasSizeGreaterThanOrEqualTo(3);
        assertThat(registry.mergeableRanges()).contains(new AddressRange(memory, 6 * pageSize()));
    }

    @Test
    void aSecondCloseDoesNothing() {
        MergeRegion allocated = allocate(1, RegionOptions.DEFAULT);
        MergeRegion adopted = adopt(memory(1), 1);
        for (MergeRegion region : List.of(allocated, adopted)) {
            region.close();
            MergeRegion successor = allocate(1, RegionOptions.DEFAULT);
            region.close();
            assertThat(region.isOpen()).isFalse();
            assertThat(successor.isOpen()).isTrue();
            assertPages(successor, "m");
        }
    }

    @Test
    void buffersOfAClosedRegionReachNoMemory() {
        MergeRegion region = allocate(2, RegionOptions.DEFAULT);
        ByteBuffer buffer = region.buffer();
        ByteBuffer slice = buffer.slice(1, 10);
        buffer.put(3, (byte) 3);
        region.close();
        if (revokesBuffers()) {
            assertThatIllegalState(() -> buffer.get(3));
            assertThatIllegalState(() -> buffer.put(3, (byte) 4));
            assertThatIllegalState(() -> slice.get(2));
        } else {
            assertThat(buffer.get(3)).isZero();
            assertThat(slice.get(2)).isZero();
            assertThat(buffer.mismatch(ByteBuffer.allocate(buffer.capacity()))).isEqualTo(-1);
        }
    }

    @Test
    void aRegionSaysWhatItIs() {
        MergeRegion region = allocate(2, RegionOptions.DEFAULT.withName("prices"));
        assertThat(region).hasToString("prices at " + region.range());
        assertThat(ksm().support().backend()).isEqualTo(ksm().backend());
    }

    @TestFactory
    Stream<DynamicTest> badArgumentsAreRefusedAndChangeNothing() {
        long page = pageSize();
        long address = 1L << 61;
        RegionOptions options = RegionOptions.DEFAULT;
        ByteBuffer direct = ByteBuffer.allocateDirect((int) (2 * page));
        List<BadCall> calls = new ArrayList<>();
        for (long size : new long[] {0, -1, Long.MIN_VALUE, Long.MAX_VALUE, Long.MAX_VALUE - 2 * page}) {
            calls.add(bad("allocate " + size, IllegalArgumentException.class, region -> ksm().allocate(size)));
        }
        calls.add(bad("allocate without options", NullPointerException.class, region -> ksm().allocate(1, null)));
        for (long length : new long[] {0, -1, Long.MIN_VALUE}) {
            calls.add(bad(
                    "adopt " + length + " bytes",
                    IllegalArgumentException.class,
                    region -> ksm().adopt(region.address(), length)));
        }
        calls.add(bad("adopt one byte", InvalidRangeException.class, region -> ksm().adopt(region.address(), 1)));
        calls.add(bad(
                "adopt a page that starts off a boundary",
                InvalidRangeException.class,
                region -> ksm().adopt(region.address() + 1, page)));
        calls.add(bad(
                "adopt parts of two pages",
                InvalidRangeException.class,
                region -> ksm().adopt(region.address() + 1, 2 * page - 2)));
        for (long start : new long[] {-1, -page, Long.MIN_VALUE}) {
            calls.add(bad(
                    "adopt in the kernel's half at " + Long.toHexString(start),
                    InvalidRangeException.class,
                    region -> ksm().adopt(start, page)));
        }
        calls.add(bad(
                "adopt what wraps around",
                InvalidRangeException.class,
                region -> ksm().adopt(region.address(), Long.MAX_VALUE)));
        calls.add(bad(
                "adopt the last page of user space, from its middle",
                InvalidRangeException.class,
                region -> ksm().adopt(Long.MAX_VALUE - 10, 10)));
        calls.add(bad("adopt without options", NullPointerException.class, region -> ksm().adopt(address, page, null)));
        calls.add(bad(
                "adopt without a witness",
                NullPointerException.class,
                region -> ksm().adopt(address, page, options, null)));
        calls.add(bad(
                "adopt a heap buffer", IllegalArgumentException.class, region -> ksm().adopt(ByteBuffer.allocate(99))));
        calls.add(bad(
                "adopt a read-only buffer",
                IllegalArgumentException.class,
                region -> ksm().adopt(direct.asReadOnlyBuffer())));
        calls.add(bad(
                "adopt an empty buffer",
                IllegalArgumentException.class,
                region -> ksm().adopt(ByteBuffer.allocateDirect(0))));
        calls.add(bad(
                "adopt a buffer without a whole page",
                InvalidRangeException.class,
                region -> ksm().adopt(ByteBuffer.allocateDirect((int) page - 1))));
        calls.add(bad("adopt no buffer", NullPointerException.class, region -> ksm().adopt((ByteBuffer) null)));
        calls.add(
                bad("adopt a buffer without options", NullPointerException.class, region -> ksm().adopt(direct, null)));
        addBadWindows(calls);
        addBadParts(calls);
        calls.add(bad("mark no collection", NullPointerException.class, region -> ksm().markMergeable(null)));
        calls.add(bad("unmark no collection", NullPointerException.class, region -> ksm().markUnmergeable(null)));
        calls.add(bad(
                "mark a null among regions",
                NullPointerException.class,
                region -> ksm().markMergeable(Collections.singletonList(null))));
        calls.add(bad(
                "mark another's region",
                IllegalArgumentException.class,
                region -> Ksm.fallback().markMergeable(List.of(region))));
        calls.add(bad("view as nothing", NullPointerException.class, region -> region.view(null)));
        calls.add(bad("view as a string", IllegalArgumentException.class, region -> region.view(String.class)));
        calls.add(bad("use no backend", NullPointerException.class, region -> Ksm.with(null)));
        return calls.stream().map(call -> dynamicTest(call.name(), () -> assertRefused(call)));
    }

    private void addBadWindows(List<BadCall> calls) {
        record Window(long offset, int length) {}
        long size = 3 * pageSize();
        for (Window window : List.of(
                new Window(-1, 1),
                new Window(0, -1),
                new Window(size, 1),
                new Window(size - 1, 2),
                new Window(0, (int) size + 1),
                new Window(Long.MAX_VALUE, 1),
                new Window(Long.MIN_VALUE, 1),
                new Window(Long.MAX_VALUE, Integer.MAX_VALUE))) {
            calls.add(bad(
                    window.toString(),
                    IndexOutOfBoundsException.class,
                    region -> region.buffer(window.offset(), window.length())));
        }
    }

    private void addBadParts(List<BadCall> calls) {
        record Part(long offset, long length) {}
        long page = pageSize();
        for (Part part : List.of(new Part(0, 0), new Part(1, page), new Part(0, 1), new Part(page, page - 1))) {
            calls.add(bad(
                    "mark " + part,
                    IllegalArgumentException.class,
                    region -> region.markMergeable(part.offset(), part.length())));
            calls.add(bad(
                    "unmark " + part,
                    IllegalArgumentException.class,
                    region -> region.markUnmergeable(part.offset(), part.length())));
            calls.add(bad(
                    "discard " + part,
                    IllegalArgumentException.class,
                    region -> region.discard(part.offset(), part.length())));
        }
        for (Part part : List.of(
                new Part(-page, page),
                new Part(0, -page),
                new Part(0, 4 * page),
                new Part(3 * page, page),
                new Part(Long.MAX_VALUE - page + 1, page),
                new Part(page, Long.MAX_VALUE - page + 1))) {
            calls.add(bad(
                    "mark " + part,
                    IndexOutOfBoundsException.class,
                    region -> region.markMergeable(part.offset(), part.length())));
            calls.add(bad(
                    "unmark " + part,
                    IndexOutOfBoundsException.class,
                    region -> region.markUnmergeable(part.offset(), part.length())));
            calls.add(bad(
                    "discard " + part,
                    IndexOutOfBoundsException.class,
                    region -> region.discard(part.offset(), part.length())));
        }
    }

    /** A call that must fail while a region of three pages is open, of which the middle page is marked. */
    private record BadCall(String name, Class<? extends Exception> refusal, RegionCall call) {}

    private interface RegionCall {
        void on(MergeRegion region);
    }

    private static BadCall bad(String name, Class<? extends Exception> refusal, RegionCall call) {
        return new BadCall(name, refusal, call);
    }

    private void assertRefused(BadCall bad) {
        try (MergeRegion region = ksm().allocate(3 * pageSize(), marking(Marking.UNMERGEABLE))) {
            region.markMergeable(pageSize(), pageSize());
            List<Mark> marks = registry.marks();
            long openRegions = registry.openRegions();
            assertThatThrownBy(() -> bad.call().on(region)).isExactlyInstanceOf(bad.refusal());
            assertThat(registry.marks()).isEqualTo(marks);
            assertThat(registry.openRegions()).isEqualTo(openRegions);
            assertPages(region, ".m.");
        }
    }

    @TestFactory
    Stream<DynamicTest> namesTheKernelWouldNotTakeAreRefused() {
        return Stream.of("a[", "a]", "a\\", "a$", "a`", "a\n", "\u00e4", "a\u0000", "n".repeat(80))
                .map(name -> dynamicTest(
                        "name " + name.replaceAll("[^ -~]", "?"),
                        () -> assertThatExceptionOfType(IllegalArgumentException.class)
                                .isThrownBy(() -> RegionOptions.DEFAULT.withName(name))));
    }

    @Test
    void theLongestNameIsTaken() {
        String name = "n".repeat(79);
        assertThat(allocate(1, RegionOptions.DEFAULT.withName(name)).owner()).isEqualTo(name);
    }

    @TestFactory
    Stream<DynamicTest> aClosedRegionRefusesEverything() {
        MergeRegion region = ksm().allocate(2 * pageSize());
        region.close();
        record Use(String name, ThrowingCallable call) {}
        return Stream.of(
                        new Use("buffer", region::buffer),
                        new Use("buffer of a window", () -> region.buffer(0, 1)),
                        new Use("view", () -> region.view(ByteBuffer.class)),
                        new Use("mark", region::markMergeable),
                        new Use("mark a part", () -> region.markMergeable(0, pageSize())),
                        new Use("unmark", region::markUnmergeable),
                        new Use("unmark a part", () -> region.markUnmergeable(0, pageSize())),
                        new Use("discard", () -> region.discard(0, pageSize())),
                        new Use("isMergeable", region::isMergeable),
                        new Use("unmarkedRanges", region::unmarkedRanges),
                        new Use("stats", region::stats),
                        new Use("mark in a batch", () -> ksm().markMergeable(List.of(region))),
                        new Use("unmark in a batch", () -> ksm().markUnmergeable(List.of(region))))
                .map(use -> dynamicTest(
                        use.name(), () -> assertThatIllegalState(use.call()).withMessageContaining("closed")));
    }

    @Test
    void aClosedRegionStillSaysWhatItWas() {
        MergeRegion region = allocate(2, RegionOptions.DEFAULT.withName("prices"));
        AddressRange range = region.range();
        region.close();
        assertThat(region.isOpen()).isFalse();
        assertThat(region.range()).isEqualTo(range);
        assertThat(region.address()).isEqualTo(range.start());
        assertThat(region.size()).isEqualTo(range.length());
        assertThat(region.owner()).isEqualTo("prices");
        assertThat(region).hasToString("prices at " + range);
        assertThat(registry.marksCovering(range.start())).isEmpty();
    }

    static ThrowableAssertAlternative<IllegalStateException> assertThatIllegalState(ThrowingCallable call) {
        return assertThatExceptionOfType(IllegalStateException.class).isThrownBy(call);
    }
}
