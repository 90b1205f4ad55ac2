// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.LongToIntFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PageHashTest {

    private static final int WORDS = 512;

    private final PageHash pageHash = new PageHash();

    private long hash(byte[] bytes) {
        return pageHash.of(ByteBuffer.wrap(bytes), 0, bytes.length);
    }

    private long hash(long... words) {
        ByteBuffer page = ByteBuffer.allocateDirect(words.length * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        page.asLongBuffer().put(words);
        return pageHash.of(page, 0, page.capacity());
    }

    private static long[] randomPage(long seed) {
        return new SplittableRandom(seed).longs(WORDS).toArray();
    }

    /** Other programs can compute it as docs/placement.md describes. These are the results of one in Python. */
    @Test
    void isTheMixedRemainderOfTwoPolynomials() {
        byte[] page = new byte[4096];
        assertThat(hash(page)).isEqualTo(0xe8ef3183e83c0e37L);
        for (int i = 0; i < page.length; i++) {
            page[i] = (byte) (i * 7 + i / 256);
        }
        assertThat(hash(page)).isEqualTo(0x5d3c6fe4d77aae03L);
        assertThat(hash("123456789".getBytes(StandardCharsets.US_ASCII))).isEqualTo(0xff84aef92958c756L);
    }

    @Test
    void readsOnlyTheGivenPart() {
        long[] pages = new SplittableRandom(1).longs(3 * WORDS).toArray();
        ByteBuffer bytes = ByteBuffer.allocateDirect(pages.length * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asLongBuffer().put(pages);
        int pageSize = WORDS * Long.BYTES;

        // In any order, whatever is left of the last call.
        for (int page : new int[] {2, 0, 1}) {
            assertThat(pageHash.of(bytes, page * pageSize, pageSize))
                    .isEqualTo(hash(Arrays.copyOfRange(pages, page * WORDS, (page + 1) * WORDS)));
        }
    }

    /** Both CRCs are linear: a combination of equal differences would have the same effect everywhere. */
    @Test
    void pagesThatDifferByTheSameBitsHaveDifferentHashes() {
        long[] page = new long[WORDS];
        Set<Long> hashes = new HashSet<>();
        for (int i = 0; i < 300; i++) {
            for (int j = 0; j < 300; j++) {
                page[7] = i;
                page[407] = j;
                hashes.add(hash(page));
            }
        }

        assertThat(hashes).hasSize(300 * 300);
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

    private void assertSpreadEvenly(LongToIntFunction part) {
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
