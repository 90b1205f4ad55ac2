// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

/** Compares the free pages with a bit set. */
@Tag("more")
class FreePagesTest {

    private record Run(int first, int pages) {}

    @Property
    void takesFreeRunsAndRejectsOnlyWhatDoesNotFit(
            @ForAll @IntRange(min = 1, max = 300) int size,
            @ForAll @Size(max = 400) List<@IntRange(min = -100, max = 70) Integer> requests) {
        FreePages pages = new FreePages(size);
        BitSet taken = new BitSet();
        List<Run> runs = new ArrayList<>();
        for (int request : requests) {
            if (request > 0) {
                int first = pages.take(request);
                assertThat(first != FreePages.NONE)
                        .as("%d of %s", request, taken)
                        .isEqualTo(longestFree(taken, size) >= request);
                if (first != FreePages.NONE) {
                    assertThat(first + request).isLessThanOrEqualTo(size);
                    assertThat(taken.get(first, first + request).isEmpty()).isTrue();
                    taken.set(first, first + request);
                    runs.add(new Run(first, request));
                }
            } else if (!runs.isEmpty()) {
                Run run = runs.remove(-request % runs.size());
                pages.giveBack(run.first(), run.pages());
                taken.clear(run.first(), run.first() + run.pages());
            }
            assertThat(pages.free()).isEqualTo(size - taken.cardinality());
        }
    }

    private static int longestFree(BitSet taken, int size) {
        int longest = 0;
        for (int at = taken.nextClearBit(0); at < size; at = taken.nextClearBit(at)) {
            int end = taken.nextSetBit(at);
            end = end < 0 ? size : end;
            longest = Math.max(longest, end - at);
            at = end;
        }
        return longest;
    }

    @Example
    void joinsAllRunsThatAreGivenBack() {
        FreePages pages = new FreePages(1 << 18);
        List<Run> runs = new ArrayList<>();
        int length = 1;
        for (int first = pages.take(length); first != FreePages.NONE; first = pages.take(length)) {
            runs.add(new Run(first, length));
            length = length % 97 + 1;
        }
        for (int i = 0; i < runs.size(); i += 2) {
            pages.giveBack(runs.get(i).first(), runs.get(i).pages());
        }
        for (int i = 1; i < runs.size(); i += 2) {
            pages.giveBack(runs.get(i).first(), runs.get(i).pages());
        }
        assertThat(pages.take(1 << 18)).isZero();
        assertThat(pages.free()).isZero();
        assertThat(pages.take(1)).isEqualTo(FreePages.NONE);
    }
}
