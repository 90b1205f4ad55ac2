// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.sketch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SampleTest {

    private static NavigableMap<Long, Long> counts(IntStream pages) {
        return pages.mapToObj(Samples::hash)
                .collect(Collectors.groupingBy(Function.identity(), TreeMap::new, Collectors.counting()));
    }

    private static void assertHas(Sample sample, Map<Long, Long> counts) {
        TreeMap<Long, Long> found = new TreeMap<>();
        for (int i = 0; i < sample.size(); i++) {
            found.put(sample.hash(i), (long) sample.count(i));
        }
        assertThat(found).isEqualTo(counts);
    }

    private static int[] pages(SplittableRandom random, int count, int contents) {
        return random.ints(count, 0, contents).toArray();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 10, 99, 1000, 5000})
    void aSampleHasTheLowestHashesWithAllTheirPages(int capacity) {
        int[] pages = pages(new SplittableRandom(1), 10_000, 3000);

        Sample sample = Samples.of(capacity, IntStream.of(pages));

        NavigableMap<Long, Long> counts = counts(IntStream.of(pages));
        if (counts.size() <= capacity) {
            assertThat(sample.threshold()).isEqualTo(Sample.ALL);
            assertThat(sample.sampling()).isEqualTo(1);
            assertHas(sample, counts);
        } else {
            assertThat(sample.size()).isEqualTo(capacity);
            assertHas(sample, counts.headMap(sample.threshold()));
            assertThat(counts).containsKey(sample.threshold());
        }
    }

    @Test
    void aUnionIsTheSampleOfAllPages() {
        SplittableRandom random = new SplittableRandom(2);
        List<int[]> processes = List.of(
                pages(random, 4000, 3000), pages(random, 100, 3000), pages(random, 9000, 9000), pages(random, 500, 20));

        Sample union = Sample.union(processes.stream()
                .map(pages -> Samples.of(800, IntStream.of(pages)))
                .toList());

        long lowest = Samples.of(800, IntStream.of(processes.get(2))).threshold();
        assertThat(union.threshold()).isEqualTo(lowest);
        assertHas(union, counts(processes.stream().flatMapToInt(IntStream::of)).headMap(lowest));
    }

    @Test
    void numbersAreThoseOfAllPages() {
        // Contents 0 to 9999 once, and 10,000 to 19,999 on 10 pages each.
        IntStream pages = IntStream.concat(
                IntStream.range(0, 10_000), IntStream.range(0, 100_000).map(i -> 10_000 + i / 10));

        Sample sample = Samples.of(5000, pages);

        assertThat(sample.contents()).isCloseTo(20_000, within(0.05 * 20_000));
        assertThat(sample.kept(4)).isCloseTo(10_000 + 30_000, within(0.05 * 40_000));
        assertThat(sample.merged(4)).isCloseTo(30_000, within(0.05 * 30_000));
        assertThat(sample.standardError(4)).isBetween(100.0, 1000.0);
    }

    @Test
    void anEmptySampleHasNothing() {
        Sample empty = Sample.union(List.of());

        assertThat(empty.contents()).isZero();
        assertThat(empty.kept(256)).isZero();
        assertThat(empty.standardError(256)).isZero();
    }
}
