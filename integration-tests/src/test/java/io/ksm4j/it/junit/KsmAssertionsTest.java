// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.junit;

import static io.ksm4j.junit.KsmAssertions.assertMarked;
import static io.ksm4j.junit.KsmAssertions.assertMerged;
import static io.ksm4j.junit.KsmAssertions.assertNothingMerged;
import static io.ksm4j.junit.KsmAssertions.assertSaved;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.testsupport.PageContents;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.opentest4j.AssertionFailedError;

/** The assertions of the extension hold where they should, and have informative messages where they fail. */
@EnabledIfKsm(control = true)
class KsmAssertionsTest {

    private static final int PAGES = 128;
    private static final int MADV_UNMERGEABLE = 13;

    private final RunningKsmd ksmd;
    private final KsmBackend backend = TestedBackends.open("ffm");
    private final Ksm ksm = Ksm.with(backend);

    /** Pages that no other page of this machine equals. */
    private final PageContents pages = PageContents.unique(ksm.pageSize());

    private final MergeRegion one = allocate("one");
    private final MergeRegion other = allocate("other");
    private final MergeRegion unique = allocate("unique");

    KsmAssertionsTest(RunningKsmd ksmd) {
        this.ksmd = ksmd;
        pages.fill(one.buffer(), page -> page);
        pages.fill(other.buffer(), page -> page);
        pages.fill(unique.buffer(), page -> PAGES + page);
    }

    private MergeRegion allocate(String name) {
        return ksm.allocate(
                PAGES * ksm.pageSize(), RegionOptions.DEFAULT.withName(name).withHugePages(HugePages.AVOID));
    }

    @AfterEach
    void close() {
        one.close();
        other.close();
        unique.close();
    }

    private static AssertionFailedError failureOf(Executable assertion) {
        try {
            assertion.execute();
        } catch (AssertionFailedError e) {
            assertThat(e.isExpectedDefined() && e.isActualDefined())
                    .as("expected and actual values for tools")
                    .isTrue();
            return e;
        } catch (Exception e) {
            throw new AssertionError(e);
        }
        throw new AssertionError("did not fail");
    }

    private interface Executable {
        void execute() throws Exception;
    }

    @Test
    void assertionsHoldForMergedAndUniquePages() throws Exception {
        ksmd.awaitMerged(List.of(one, other), 1);
        ksmd.awaitFullScans(3);
        assertMerged(1, one);
        assertSaved(one.size() / 2, one);
        assertMarked(one);
        assertNothingMerged(unique);
        assertMarked(unique);
        assertSaved(0, unique);

        assertThat(failureOf(() -> assertNothingMerged(other)))
                .hasMessageStartingWith(other + ": expected nothing merged, but was 512 KiB merged\n")
                .hasMessageContaining("saved 256 KiB");
        assertThat(failureOf(() -> assertSaved(one.size(), one)))
                .hasMessageStartingWith(one + ": expected at least 512 KiB saved, but was 256 KiB saved\n");
    }

    @Test
    void waitingForUniquePagesFailsAsSoonAsNoMorePagesCanMerge() {
        AssertionFailedError failure = failureOf(() -> ksmd.awaitMerged(List.of(one, unique, other), 0.5));
        assertThat(failure)
                .hasMessageStartingWith(unique + ": expected 50.00 % merged, but was 0.00 % merged\n")
                .hasMessageContaining("no more pages will merge: ksmd has scanned all memory")
                .hasMessageContaining("(SETTLED after ")
                .hasMessageContaining("resident 512 KiB, marked 512 KiB of 512 KiB, merged 0 KiB")
                .hasMessageContaining(
                        "ksmd: run 1, pages_to_scan 1000000, sleep_millisecs 0, smart_scan 0, use_zero_pages 0,");
        assertThat(failure.getExpected().getStringRepresentation()).isEqualTo("50.00 % merged");
        assertThat(failure.getActual().getStringRepresentation()).isEqualTo("0.00 % merged");
    }

    @Test
    void aFailureSaysThatKsmdIsStopped() {
        ksmd.set(KsmSetting.RUN, 0);
        assertThat(failureOf(() -> ksmd.awaitMerged(unique, 0.9)))
                .hasMessageContaining("ksmd is stopped (KSMD_STOPPED after ")
                .hasMessageContaining("advice: KSMD_STOPPED, ksmd is stopped");
        assertThat(failureOf(() -> assertMerged(0.9, unique)))
                .hasMessageStartingWith(unique + ": expected at least 90.00 % merged, but was 0.00 % merged\n")
                .hasMessageContaining("ksmd: run 0, ")
                .hasMessageContaining("advice: KSMD_STOPPED, ksmd is stopped");
    }

    @Test
    void aFailureSaysWhatIsNotMarked() {
        long second = one.address() + ksm.pageSize();
        assertThat(backend.madvise(second, ksm.pageSize(), MADV_UNMERGEABLE)).isZero();
        assertThat(failureOf(() -> assertMarked(one)))
                .hasMessageContaining("expected all marked mergeable, but was not marked in one part")
                .hasMessageContaining("not marked: " + one.unmarkedRanges())
                .hasMessageContaining("marked 508 KiB of 512 KiB");

        try (MergeRegion never = ksm.allocate(ksm.pageSize(), RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE))) {
            assertThat(failureOf(() -> ksmd.awaitMerged(never, 1)))
                    .hasMessageContaining("the kernel has marked no part of the region (NOT_MARKED after ");
        }
    }

    @Test
    void invalidArgumentsAreRefused() {
        assertThatIllegalArgumentException().isThrownBy(() -> assertMerged(0, one));
        assertThatIllegalArgumentException().isThrownBy(() -> assertMerged(Double.NaN, one));
        assertThatIllegalArgumentException().isThrownBy(() -> assertSaved(-1, one));
        assertThatIllegalArgumentException().isThrownBy(() -> ksmd.awaitMerged(one, 1.5));
        assertThatIllegalArgumentException().isThrownBy(() -> ksmd.set(KsmSetting.RUN, 3));
        one.close();
        assertThatIllegalStateException().isThrownBy(() -> assertMerged(1, one));
        assertThatExceptionOfType(NumberFormatException.class).isThrownBy(() -> ksmd.read("advisor_mode"));
        ksmd.close();
        assertThatIllegalStateException()
                .isThrownBy(() -> ksmd.set(KsmSetting.RUN, 1))
                .withMessageContaining("closed");
    }
}
