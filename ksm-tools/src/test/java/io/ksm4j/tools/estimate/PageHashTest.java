// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.LongToIntFunction;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PageHashTest {

    private static final int WORDS = 512;

    private static long hash(long... words) {
        return PageHash.of(words, 0, words.length);
    }

    private static long[] randomPage(long seed) {
        return new SplittableRandom(seed).longs(WORDS).toArray();
    }

    /** The expected hashes are those of {@code xxhsum -H1} 0.8.1 for the words in little-endian order. */
    @ParameterizedTest
    @CsvSource({
        "4, 1, 73f859a04f669e6d",
        "512, 0, ac869b6f32d8bbdb",
        "512, 9e3779b97f4a7c15, 5fd8baa5850d2936",
        "8192, 9e3779b97f4a7c15, c3dcf20e552528be"
    })
    void isXxh64(int count, String factor, String expected) {
        long[] words = LongStream.rangeClosed(1, count)
                .map(i -> i * Long.parseUnsignedLong(factor, 16))
                .toArray();

        assertThat(hash(words)).isEqualTo(Long.parseUnsignedLong(expected, 16));
    }

    @Test
    void readsOnlyTheGivenWords() {
        long[] pages = new SplittableRandom(1).longs(3 * WORDS).toArray();

        assertThat(PageHash.of(pages, WORDS, WORDS)).isEqualTo(hash(Arrays.copyOfRange(pages, WORDS, 2 * WORDS)));
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 2, 3})
    void eachBitMatters(long seed) {
        long[] page = seed == 0 ? new long[WORDS] : randomPage(seed);
        Set<Long> hashes = new HashSet<>(Set.of(hash(page)));
        for (int bit = 0; bit < WORDS * Long.SIZE; bit++) {
            page[bit / Long.SIZE] ^= 1L << bit;
            hashes.add(hash(page));
            page[bit / Long.SIZE] ^= 1L << bit;
        }

        assertThat(hashes).hasSize(1 + WORDS * Long.SIZE);
    }

    @Test
    void theOrderOfWordsMatters() {
        long[] page = randomPage(4);
        Set<Long> hashes = new HashSet<>(Set.of(hash(page)));
        for (int distance = 1; distance < WORDS; distance++) {
            long[] swapped = page.clone();
            swapped[0] = page[distance];
            swapped[distance] = page[0];
            hashes.add(hash(swapped));
        }

        assertThat(hashes).hasSize(WORDS);
    }

    /** The table of contents selects by the lower bits and searches by the upper ones. */
    @Test
    void similarPagesAreSpreadEvenly() {
        assertSpreadEvenly(hash -> (int) hash & 0xff);
        assertSpreadEvenly(hash -> (int) (hash >>> 56));
    }

    private static void assertSpreadEvenly(LongToIntFunction part) {
        long[] page = new long[WORDS];
        int[] counts = new int[256];
        for (int i = 0; i < 256 * 400; i++) {
            page[100] = i;
            counts[part.applyAsInt(hash(page))]++;
        }

        // Six times the standard deviation.
        assertThat(counts)
                .satisfies(all ->
                        Arrays.stream(all).forEach(count -> assertThat(count).isCloseTo(400, within(120))));
    }
}
