// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.ksm4j.internal.linux.Linux;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A failed call leaves everything as it was: in the registry, and for the kernel. */
class FailedChangeTest {

    private static final int EIO = 5;
    private static final RegionOptions UNMARKED = RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE);

    /** The content of the registry; two are equal if nothing has changed. */
    private record Registered(long openRegions, long mergeableBytes, List<MergeRegistry.Mark> marks) {
        static Registered now() {
            MergeRegistry registry = MergeRegistry.system();
            return new Registered(registry.openRegions(), registry.mergeableBytes(), registry.marks());
        }
    }

    private final ScriptedBackend backend = new ScriptedBackend();
    private final Ksm ksm = Ksm.with(backend);
    private final List<MergeRegion> regions = new ArrayList<>();
    private Registered before = Registered.now();

    @BeforeEach
    void openThreeRegions() {
        for (int i = 0; i < 3; i++) {
            regions.add(ksm.allocate(4096, UNMARKED));
        }
        backend.calls.clear();
    }

    @AfterEach
    void nothingStaysRegistered() {
        regions.forEach(MergeRegion::close);
        assertThat(Registered.now()).isEqualTo(before);
    }

    private static String text(AddressRange range) {
        return Long.toHexString(range.start()) + "-" + Long.toHexString(range.end());
    }

    @ParameterizedTest
    @CsvSource({"1, 12", "1, 13", "22, 12", "5, 13", "38, 12"})
    void aBatchThatFailsHalfwayIsUndone(int errno, int advice) {
        boolean mergeable = advice == Linux.MADV_MERGEABLE;
        if (!mergeable) {
            ksm.markMergeable(regions);
        }
        Registered quiet = Registered.now();
        backend.calls.clear();
        backend.answer("process_madvise", 4096).answer("madvise " + advice, -errno);

        KsmException failure = catchThrowableOfType(KsmException.class, () -> {
            if (mergeable) {
                ksm.markMergeable(regions);
            } else {
                ksm.markUnmergeable(regions);
            }
        });

        assertThat(failure.failedCall().orElseThrow().errno()).isEqualTo(errno);
        assertThat(failure.failedCall().orElseThrow().range())
                .hasValue(regions.get(1).range());
        assertThat(Registered.now()).isEqualTo(quiet);
        assertThat(regions).allMatch(region -> region.isMergeable() != mergeable);
        int opposite = mergeable ? Linux.MADV_UNMERGEABLE : Linux.MADV_MERGEABLE;
        for (MergeRegion region : regions) {
            assertThat(backend.calls).contains("madvise " + opposite + " " + text(region.range()));
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aRegionIsUnchangedIfMarkingItFails(boolean part) {
        MergeRegion region = ksm.allocate(8192, UNMARKED);
        regions.add(region);
        Registered quiet = Registered.now();
        backend.calls.clear();
        backend.answer("madvise 12", -EIO);
        assertThatThrownBy(() -> {
                    if (part) {
                        region.markMergeable(4096, 4096);
                    } else {
                        region.markMergeable();
                    }
                })
                .isExactlyInstanceOf(KsmException.class);
        AddressRange told = part ? new AddressRange(region.address() + 4096, 4096) : region.range();
        assertThat(backend.calls)
                .as("checks whether the process is opted in before it undoes the call")
                .containsExactly("madvise 12 " + text(told), "prctl 68 0", "madvise 13 " + text(told));
        assertThat(Registered.now()).isEqualTo(quiet);
        assertThat(region.isMergeable()).isFalse();
        region.markMergeable();
        assertThat(region.isMergeable()).isTrue();
    }

    @Test
    void aPartKeepsItsMarkAndTimeIfUnmarkingItFails() {
        MergeRegion region = ksm.allocate(16_384, UNMARKED);
        regions.add(region);
        region.markMergeable(0, 12_288);
        Registered quiet = Registered.now();
        backend.calls.clear();
        backend.answer("madvise 13", -EIO);
        assertThatThrownBy(() -> region.markUnmergeable(8192, 8192)).isExactlyInstanceOf(KsmException.class);
        assertThat(Registered.now()).isEqualTo(quiet);
        assertThat(backend.calls.get(backend.calls.size() - 1))
                .isEqualTo("madvise 12 " + text(new AddressRange(region.address() + 8192, 4096)));
    }

    @Test
    void undoingAFailedMarkKeepsTheMarksOfOtherRegions() {
        MergeRegion region = ksm.allocate(8192, UNMARKED);
        regions.add(region);
        MergeRegion wanting = ksm.adopt(region.address(), 4096, RegionOptions.DEFAULT.withVerify(false));
        Registered quiet = Registered.now();
        backend.calls.clear();
        backend.answer("madvise 12", -EIO);
        assertThatThrownBy(region::markMergeable).isExactlyInstanceOf(KsmException.class);
        assertThat(backend.calls("madvise 13"))
                .containsExactly("madvise 13 " + text(new AddressRange(region.address() + 4096, 4096)));
        assertThat(Registered.now()).isEqualTo(quiet);
        wanting.close();
    }

    @ParameterizedTest
    @CsvSource({"mmap, 0", "mprotect, 1", "madvise 15, 1", "madvise 12, 1", "madvise 23, 1"})
    void anAllocationThatFailsLeavesNothing(String function, int unmapped) {
        Registered quiet = Registered.now();
        backend.answer(function, -Linux.EPERM);
        RegionOptions options =
                RegionOptions.DEFAULT.withHugePages(HugePages.AVOID).withPopulate(true);
        assertThatThrownBy(() -> ksm.allocate(8192, options)).isInstanceOf(KsmPermissionException.class);
        assertThat(Registered.now()).isEqualTo(quiet);
        assertThat(backend.calls("mmap")).hasSize(1);
        assertThat(backend.calls("munmap")).hasSize(unmapped);
    }

    @Test
    void theFirstFailureIsThrownIfTheMemoryOfAFailedAllocationCannotBeUnmapped() {
        backend.answer("mprotect", -Linux.EPERM).answer("munmap", -EIO);
        KsmException failure = catchThrowableOfType(KsmException.class, () -> ksm.allocate(8192));
        assertThat(failure.failedCall().orElseThrow().name()).isEqualTo("mprotect");
        assertThat(failure.getSuppressed()).singleElement().isInstanceOf(KsmException.class);
        backend.calls.clear();
        regions.add(ksm.allocate(4096));
        assertThat(backend.calls("munmap")).as("the remaining mapping").hasSize(1);
    }

    @Test
    void anAdoptionThatFailsLeavesNothing() {
        Registered quiet = Registered.now();
        backend.answer("madvise 12", -EIO);
        assertThatThrownBy(() -> ksm.adopt(0x10000000L, 8192, RegionOptions.DEFAULT.withVerify(false)))
                .isExactlyInstanceOf(KsmException.class);
        assertThat(backend.calls).contains("madvise 13 10000000-10002000");
        assertThat(Registered.now()).isEqualTo(quiet);
    }

    @Test
    void anAdoptedRegionStaysOpenIfClosingCannotUnmarkIt() {
        MergeRegion region = ksm.adopt(0x10000000L, 8192, RegionOptions.DEFAULT.withVerify(false));
        Registered quiet = Registered.now();
        backend.answer("madvise 13", -EIO);
        assertThatThrownBy(region::close).isExactlyInstanceOf(KsmException.class);
        assertThat(region.isOpen()).isTrue();
        assertThat(region.isMergeable()).isTrue();
        assertThat(Registered.now()).isEqualTo(quiet);
        region.close();
        assertThat(region.isOpen()).isFalse();
    }

    @Test
    void afterAFailedCloseAPartCanBeUnmarkedAndTheNextCloseUnmarksTheRest() {
        MergeRegion memory = ksm.allocate(16_384, UNMARKED);
        regions.add(memory);
        MergeRegion region = ksm.adopt(memory.address(), 8192, RegionOptions.DEFAULT.withVerify(false));
        backend.answer("madvise 13", -EIO);
        assertThatThrownBy(region::close).isExactlyInstanceOf(KsmException.class);
        region.markUnmergeable(0, 4096);
        assertThat(region.isMergeable()).isFalse();
        backend.calls.clear();
        region.close();
        assertThat(backend.calls("madvise"))
                .containsExactly("madvise 13 " + text(new AddressRange(region.address() + 4096, 4096)));
    }

    @Test
    void aRegionThatCannotBeUnmappedIsClosedAndALaterAllocationUnmapsIt() {
        MergeRegion region = ksm.allocate(8192);
        AddressRange mapped = new AddressRange(region.address() - 4096, 16_384);
        backend.calls.clear();
        backend.answer("munmap", -EIO, -EIO);

        assertThatThrownBy(region::close).isExactlyInstanceOf(KsmException.class);
        assertThat(region.isOpen()).isFalse();
        assertThat(backend.calls)
                .containsExactly("munmap " + text(mapped), "madvise 4 " + text(mapped), "madvise 13 " + text(mapped));
        assertThatCode(region::close).doesNotThrowAnyException();

        backend.calls.clear();
        regions.add(ksm.allocate(4096));
        regions.add(ksm.allocate(4096));
        regions.add(ksm.allocate(4096));
        assertThat(backend.calls("munmap")).containsExactly("munmap " + text(mapped), "munmap " + text(mapped));
    }

    @Test
    void aFailedOptInChangesNothing() {
        backend.answer("prctl 67", -Linux.EPERM);
        assertThatThrownBy(() -> ksm.process().markMergeable()).isInstanceOf(KsmPermissionException.class);
        assertThat(backend.calls("madvise")).isEmpty();
    }

    @Test
    void theProcessIsOptedOutAgainIfASecretCannotBeExcluded() {
        MergeRegion secret = ksm.allocate(4096, RegionOptions.DEFAULT.withMarking(Marking.NEVER));
        regions.add(secret);
        backend.calls.clear();
        backend.answer("madvise 13", -EIO);
        assertThatThrownBy(() -> ksm.process().markMergeable())
                .isExactlyInstanceOf(KsmException.class)
                .hasMessageContaining(secret.range().toString());
        assertThat(backend.calls)
                .containsExactly(
                        "prctl 68 0", "prctl 67 1", "madvise 13 " + text(secret.range()), "prctl 67 0", "prctl 68 0");
    }

    @Test
    void aProcessThatWasAlreadyOptedInStaysOptedInIfASecretCannotBeExcluded() {
        regions.add(ksm.allocate(4096, RegionOptions.DEFAULT.withMarking(Marking.NEVER)));
        backend.calls.clear();
        backend.answer("prctl 68", 1).answer("madvise 13", -EIO);
        assertThatThrownBy(() -> ksm.process().markMergeable()).isExactlyInstanceOf(KsmException.class);
        assertThat(backend.calls("prctl 67")).containsExactly("prctl 67 1");
    }

    @Test
    void theFirstFailureIsThrownIfOptingOutAgainFailsAsWell() {
        regions.add(ksm.allocate(4096, RegionOptions.DEFAULT.withMarking(Marking.NEVER)));
        backend.answer("madvise 13", -EIO).answer("prctl 67", 1, -Linux.EPERM);
        assertThatThrownBy(() -> ksm.process().markMergeable())
                .isExactlyInstanceOf(KsmException.class)
                .satisfies(failure ->
                        assertThat(failure.getSuppressed()).singleElement().isInstanceOf(KsmPermissionException.class));
    }
}
