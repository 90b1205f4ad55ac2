// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.ksm4j.tools.sketch.Samples;
import io.ksm4j.tools.sketch.Sketch;
import io.ksm4j.tools.sketch.Sketch.Machine;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SavingTest {

    private static final Machine MACHINE = Samples.machine();

    /** Compares samples with everything, for processes of different sizes that have much or little in common. */
    @ParameterizedTest
    @CsvSource({"100000, 100000, 50000", "100000, 100000, 20000", "200000, 60000, 30000", "300000, 100000, 90000"})
    void aPairSavesWhatAllOfItsPagesSave(int first, int second, int common) {
        int[] one = pages(0, first);
        int[] other = pages(first - common, second);

        Saving sampled =
                Saving.of(List.of(Samples.sketch(30_000, "a", one), Samples.sketch(30_000, "b", other)), MACHINE);
        Saving all =
                Saving.of(List.of(Samples.sketch(1_000_000, "a", one), Samples.sketch(1_000_000, "b", other)), MACHINE);

        assertThat(all.across()).isEqualTo(common * 4096L);
        assertThat(all.within()).isEqualTo((first + second) / 10 * 4096L);
        assertThat(all.saved()).isEqualTo(all.within() + all.across());
        assertThat(all.error()).isZero();
        assertThat(sampled.across()).isCloseTo(all.across(), within(all.across() / 20));
        assertThat(sampled.saved()).isCloseTo(all.saved(), within(all.saved() / 20));
        assertThat(Math.abs(sampled.saved() - all.saved())).isLessThan(2 * sampled.error());
        assertThat(sampled.cost()).isCloseTo(all.cost(), within(all.cost() / 50));
    }

    /** Returns pages of consecutive contents, of which every tenth is on two pages. */
    private static int[] pages(int from, int contents) {
        return IntStream.concat(
                        IntStream.range(from, from + contents),
                        IntStream.range(0, contents / 10).map(i -> from + 10 * i))
                .toArray();
    }

    @Test
    void thePagesOfAContentBecomeOneForEachMaximum() {
        Sketch half = Samples.sketch(10, "a", new int[300]);

        Saving saving = Saving.of(List.of(half, half), MACHINE);

        assertThat(saving.within()).isEqualTo(2 * 299 * 4096);
        assertThat(saving.across()).isEqualTo(4096);
        assertThat(saving.saved()).as("three copies of 600 pages").isEqualTo(597 * 4096);
        assertThat(saving.cost()).isEqualTo(600 * 64 + 2 * 48 + 3 * 64);
    }

    @Test
    void zerosMergeLikeOtherPagesUnlessTheKernelHasAPageForThem() {
        Sketch zeros = new Sketch(1, "Main", "a", 0, 100, 100, 0, Samples.of(10, IntStream.empty()));

        Saving merged = Saving.of(List.of(zeros, zeros), MACHINE);
        Saving replaced = Saving.of(List.of(zeros, zeros), new Machine(MACHINE.key(), 4096, 256, true));

        assertThat(merged.saved()).isEqualTo(199 * 4096);
        assertThat(merged.across()).isEqualTo(4096);
        assertThat(replaced.saved()).isEqualTo(200 * 4096);
        assertThat(replaced.across()).isZero();
        assertThat(replaced.cost()).isEqualTo(2 * 48);
    }
}
