// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.stats.Finding;
import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;

/** The fallback without native code. */
class DirectBufferBackendTest {

    private static final Cleaner CLEANER = Cleaner.create();

    private final Ksm ksm = Ksm.with(new FallbackBackend(new DirectBufferBackend(), "a test"));

    @Test
    void regionsCanBeReadAndWritten() {
        try (MergeRegion region = ksm.allocate(10_000)) {
            assertThat(region.size()).isEqualTo(12_288);
            ByteBuffer whole = region.buffer();
            assertThat(whole.capacity()).isEqualTo(12_288);
            whole.putLong(8192, 42);
            assertThat(region.buffer(8192, 8).getLong(0)).isEqualTo(42);
            assertThat(region.buffer(0, 4096)).isEqualTo(ByteBuffer.allocate(4096));
        }
    }

    @Test
    void recordsMarks() {
        long mergeable = MergeRegistry.system().mergeableBytes();
        try (MergeRegion region = ksm.allocate(8192)) {
            assertThat(region.isMergeable()).isTrue();
            assertThat(MergeRegistry.system().isMergeable(region.address())).isTrue();
            region.markUnmergeable(4096, 4096);
            assertThat(region.unmarkedRanges()).containsExactly(new AddressRange(region.address() + 4096, 4096));
            assertThat(region.stats().savedBytes()).isZero();
        }
        assertThat(MergeRegistry.system().mergeableBytes()).isEqualTo(mergeable);
    }

    @Test
    void regionsDoNotTouch() {
        try (MergeRegion one = ksm.allocate(4096);
                MergeRegion two = ksm.allocate(4096)) {
            assertThat(two.address()).isGreaterThan(one.range().end());
        }
    }

    @Test
    void aClosedRegionsBufferReadsZeros() {
        MergeRegion region = ksm.allocate(4096);
        ByteBuffer buffer = region.buffer();
        buffer.putLong(0, 42).put(4095, (byte) 1);
        region.close();
        assertThat(buffer).isEqualTo(ByteBuffer.allocate(4096));
        assertThatIllegalStateException().isThrownBy(region::buffer);
    }

    @Test
    void aClosedRegionsBufferReadsZerosThroughADuplicateOfAForgottenOne() {
        MergeRegion region = ksm.allocate(4096);
        ByteBuffer duplicate = duplicateOfAForgottenBuffer(region);
        assertThat(duplicate.getLong(0)).isEqualTo(42);
        region.close();
        assertThat(duplicate).isEqualTo(ByteBuffer.allocate(4096));
    }

    @Test
    void reclaimingAForgottenRegionLeavesItsBytesToADuplicate() {
        long open = MergeRegistry.system().openRegions();
        ByteBuffer duplicate = duplicateOfAForgottenBuffer(ksm.allocate(4096));
        collectUntil(() -> MergeRegistry.system().openRegions() == open);
        assertThat(duplicate.getLong(0)).isEqualTo(42);
        assertThat(duplicate.getInt(4092)).isZero();
    }

    private static ByteBuffer duplicateOfAForgottenBuffer(MergeRegion region) {
        CountDownLatch forgotten = new CountDownLatch(1);
        ByteBuffer duplicate = duplicateOf(region.buffer().putLong(0, 42), forgotten::countDown);
        collectUntil(() -> forgotten.getCount() == 0);
        return duplicate;
    }

    private static ByteBuffer duplicateOf(ByteBuffer buffer, Runnable whenForgotten) {
        CLEANER.register(buffer, whenForgotten);
        return buffer.duplicate();
    }

    private static void collectUntil(BooleanSupplier done) {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!done.getAsBoolean()) {
            assertThat(System.nanoTime()).as("nanoseconds").isLessThan(deadline);
            System.gc();
        }
    }

    @Test
    void regionsArePageAlignedInRealMemory() {
        try (MergeRegion one = ksm.allocate(4096, RegionOptions.DEFAULT.withGuardPages(false));
                MergeRegion two = ksm.allocate(8192)) {
            assertThat(one.buffer().alignmentOffset(0, 4096)).isZero();
            assertThat(two.buffer().alignmentOffset(0, 4096)).isZero();
        }
    }

    @Test
    void recordsTheMarkOfAnAdoptedBuffer() {
        ByteBuffer memory = ByteBuffer.allocateDirect(16_384);
        memory.putInt(100, 7);
        try (MergeRegion region = ksm.adopt(memory)) {
            assertThat(region.isMergeable()).isTrue();
            region.markUnmergeable();
            assertThat(region.unmarkedRanges()).containsExactly(region.range());
        }
        assertThat(memory.getInt(100)).isEqualTo(7);
    }

    @Test
    void refusesRegionsOfTwoGibibytesAndLeavesNothingOpen() {
        long open = MergeRegistry.system().openRegions();
        assertThatThrownBy(() -> ksm.allocate(1L << 31))
                .isInstanceOf(UnsupportedOperationException.class)
                .hasMessageContaining("native backend")
                .hasMessageContaining("2 GiB");
        assertThat(MergeRegistry.system().openRegions()).isEqualTo(open);
    }

    @Test
    void supportNamesTheFallback() {
        KsmSupport support = ksm.support();
        assertThat(support.backend()).isEqualTo("fallback");
        assertThat(support.canMark()).isFalse();
        assertThat(support.canMerge()).isFalse();
        assertThat(support.obstacles()).extracting(Finding::kind).contains(Finding.Kind.FALLBACK);
    }

    @Test
    void recordsThatTheProcessIsOptedIn() {
        assertThat(ksm.process().isMergeable()).isFalse();
        ksm.process().markMergeable();
        assertThat(ksm.process().isMergeable()).isTrue();
        ksm.process().markUnmergeable();
        assertThat(ksm.process().isMergeable()).isFalse();
    }

    @Test
    void marksManyRegionsAtOnce() {
        try (MergeRegion one = ksm.allocate(4096);
                MergeRegion two = ksm.allocate(4096)) {
            ksm.markUnmergeable(List.of(one, two));
            assertThat(one.isMergeable() || two.isMergeable()).isFalse();
            ksm.markMergeable(List.of(one, two));
            assertThat(one.isMergeable() && two.isMergeable()).isTrue();
        }
    }
}
