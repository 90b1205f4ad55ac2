// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.merging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.AddressRange;
import io.ksm4j.Ksm;
import io.ksm4j.MarkNotTakenException;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.UnmappedRangeException;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.Mappings;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.spi.KsmBackend;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.ResourceLock;

/** Opting the process in and out, and closing regions, after memory was unmapped or its addresses were reused. */
@EnabledIfKsm
@ResourceLock(Aside.MARKED_MEMORY)
class ProcessMergingTest {

    private static final int PRIVATE_ANONYMOUS = 0x22;
    private static final int SHARED_ANONYMOUS = 0x21;
    private static final int READ_WRITE = 3;

    private static final RegionOptions UNMARKED = RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE);
    private static final RegionOptions NEVER = RegionOptions.DEFAULT.withMarking(Marking.NEVER);

    private final KsmBackend backend = TestedBackends.open("ffm");
    private final Ksm ksm = Ksm.with(backend);
    private final long page = ksm.pageSize();
    private final List<MergeRegion> open = new ArrayList<>();
    private final List<AddressRange> mapped = new ArrayList<>();

    @AfterEach
    void closeAll() {
        open.forEach(MergeRegion::close);
        ksm.process().markUnmergeable();
        mapped.forEach(range -> backend.munmap(range.start(), range.length()));
        assertThat(ksm.registry().mergeableBytes()).isZero();
    }

    @Test
    void memoryOfADeadOwnerIsNotChanged() {
        AtomicBoolean alive = new AtomicBoolean(true);
        AddressRange memory = map(8, PRIVATE_ANONYMOUS);
        MergeRegion region = keep(ksm.adopt(memory.start(), memory.length(), RegionOptions.DEFAULT, alive::get));
        // The owner frees the memory, and the same addresses are mapped again for another purpose.
        backend.madvise(memory.start(), memory.length(), 13);
        alive.set(false);

        ksm.process().markUnmergeable();

        assertThat(Mappings.mergeable(memory)).isEmpty();
        assertThat(ksm.registry().isMergeable(memory.start())).isFalse();
        region.close();
        assertThat(Mappings.mergeable(memory)).isEmpty();
    }

    @Test
    void fallbackRegionsAreNotMarkedByARealOne() {
        MergeRegion fallback = keep(Ksm.fallback().allocate(4 * page));

        ksm.process().markUnmergeable();

        assertThat(Mappings.mergeable(fallback.range())).isEmpty();
        assertThat(fallback.isMergeable()).isTrue();
    }

    @Test
    void fallbackAndRealRegionsDoNotSharePages() {
        AddressRange memory = map(4, PRIVATE_ANONYMOUS);
        keep(Ksm.fallback().adopt(memory.start(), memory.length()));

        assertThatThrownBy(() -> ksm.adopt(memory.start(), memory.length()))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("fallback");
        assertThat(Mappings.mergeable(memory)).isEmpty();
    }

    /** The first pages of a secret region are reused by a region that is closed; the rest is still secret. */
    @Test
    void theRestOfADetachedSecretStaysUnmergeable() {
        AddressRange reserved = map(64, PRIVATE_ANONYMOUS);
        MergeRegion inside = ksm.allocate(8 * page, NEVER.withGuardPages(false));
        MergeRegion secret = keep(ksm.adopt(inside.address(), inside.size(), NEVER));
        MergeRegion other = keep(ksm.adopt(reserved.start(), reserved.length(), NEVER));
        inside.close();
        MergeRegion successor = keep(ksm.allocate(8 * page, RegionOptions.DEFAULT.withGuardPages(false)));

        ksm.process().markMergeable();

        assertThat(successor.isMergeable()).isTrue();
        assertThat(successor.unmarkedRanges()).isEmpty();
        assertThat(Mappings.mergeable(other.range())).isEmpty();
        assertThatThrownBy(secret::markMergeable).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void theRestOfARegionWithAGapIsUnmarkedAtClose() {
        AddressRange memory = map(32, PRIVATE_ANONYMOUS);
        MergeRegion region = ksm.adopt(memory.start(), memory.length(), UNMARKED);
        region.markMergeable(4 * page, 4 * page);
        region.markMergeable(16 * page, 4 * page);
        backend.munmap(memory.start() + 5 * page, page);

        region.close();

        assertThat(Mappings.mergeable(memory)).isEmpty();
    }

    @Test
    void theRestOfARegionWithAGapIsMarkedAgain() {
        AddressRange memory = map(32, PRIVATE_ANONYMOUS);
        MergeRegion region = keep(ksm.adopt(memory.start(), memory.length(), UNMARKED));
        region.markMergeable(4 * page, 4 * page);
        region.markMergeable(16 * page, 4 * page);
        ksm.process().markMergeable();
        backend.munmap(memory.start() + 5 * page, page);

        ksm.process().markUnmergeable();

        assertThat(Mappings.mergeable(memory)).contains(new AddressRange(memory.start() + 16 * page, 4 * page));
    }

    @Test
    void aFailedMarkDoesNotChangeAProcessThatIsOptedIn() {
        AddressRange shared = map(4, SHARED_ANONYMOUS);
        AddressRange memory = map(4, PRIVATE_ANONYMOUS);
        ksm.process().markMergeable();
        AddressRange both = new AddressRange(
                Math.min(shared.start(), memory.start()),
                Math.max(shared.end(), memory.end()) - Math.min(shared.start(), memory.start()));
        if (both.length() == shared.length() + memory.length()) {
            assertThatThrownBy(() -> ksm.adopt(both.start(), both.length())).isInstanceOf(MarkNotTakenException.class);
        } else {
            assertThatThrownBy(() -> ksm.adopt(shared.start(), shared.length()))
                    .isInstanceOf(MarkNotTakenException.class);
        }
        assertThat(Mappings.mergeable(memory)).containsExactly(memory);
    }

    @Test
    void theMessageDoesNotClaimThatAMarkThatFailsAtAGapIsUndone() {
        AddressRange memory = map(4, PRIVATE_ANONYMOUS);
        ksm.process().markMergeable();
        backend.munmap(memory.start() + page, page);

        assertThatThrownBy(() -> ksm.adopt(memory.start(), memory.length()))
                .isInstanceOf(UnmappedRangeException.class)
                .hasMessageContaining("the mapped rest is mergeable now, because the whole process is opted in");
        assertThat(Mappings.mergeable(memory))
                .containsExactly(
                        new AddressRange(memory.start(), page), new AddressRange(memory.start() + 2 * page, 2 * page));
    }

    private AddressRange map(int pages, int flags) {
        AddressRange range = new AddressRange(backend.mmap(pages * page, READ_WRITE, flags), pages * page);
        mapped.add(range);
        return range;
    }

    private MergeRegion keep(MergeRegion region) {
        open.add(region);
        return region;
    }
}
