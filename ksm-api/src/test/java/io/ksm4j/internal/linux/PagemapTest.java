// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PagemapTest {

    private static final long PAGE = 4096;
    private static final int PAGES = 50_000;
    private static final long PRESENT = 1L << 63;
    private static final long SWAPPED = 1L << 62;
    private static final long EXCLUSIVE = 1L << 56;

    @TempDir
    Path folder;

    private final long[] entries = new Random(7)
            .longs(PAGES)
            .map(bits -> bits & ~(PRESENT & bits << 1))
            .toArray();

    private Path write(int bytes) throws IOException {
        ByteBuffer text = ByteBuffer.allocate(PAGES * Long.BYTES).order(ByteOrder.nativeOrder());
        text.asLongBuffer().put(entries);
        text.limit(bytes);
        byte[] written = new byte[bytes];
        text.get(written);
        return Files.write(folder.resolve("pagemap"), written);
    }

    private long present(int from, int to) {
        long present = 0;
        for (int page = from; page < to; page++) {
            present += (entries[page] & PRESENT) != 0 ? PAGE : 0;
        }
        return present;
    }

    @Test
    void countsPresentPagesButNotSwappedOnes() throws IOException {
        entries[3] = SWAPPED;
        entries[4] = PRESENT;
        try (Pagemap pagemap = new Pagemap(write(PAGES * Long.BYTES), PAGE)) {
            assertThat(pagemap.presentBytes(3 * PAGE, 5 * PAGE)).isEqualTo(PAGE);
            assertThat(pagemap.presentBytes(0, PAGES * PAGE)).isEqualTo(present(0, PAGES));
            assertThat(pagemap.presentBytes(17 * PAGE, 40_001 * PAGE)).isEqualTo(present(17, 40_001));
            assertThat(pagemap.presentBytes(5 * PAGE, 5 * PAGE)).isZero();
        }
    }

    @Test
    void pagesThatAreMappedSeveralTimesAreMerged() throws IOException {
        entries[64] = PRESENT;
        entries[65] = PRESENT | EXCLUSIVE;
        entries[66] = EXCLUSIVE;
        long[] present = {-1, -1};
        long[] merged = {-1, -1};
        try (Pagemap pagemap = new Pagemap(write(PAGES * Long.BYTES), PAGE)) {
            pagemap.read(64 * PAGE, 3, present, merged);

            assertThat(present).containsExactly(0b011, 0);
            assertThat(merged).containsExactly(0b001, 0);
            assertThatThrownBy(() -> pagemap.read((PAGES - 1) * PAGE, 2, present, merged))
                    .isInstanceOf(EOFException.class);
        }
    }

    @Test
    void rejectsAFileThatEndsWithinTheRange() throws IOException {
        for (int bytes : new int[] {0, 7, 8, 100 * Long.BYTES - 1}) {
            try (Pagemap pagemap = new Pagemap(write(bytes), PAGE)) {
                assertThatThrownBy(() -> pagemap.presentBytes(0, 100 * PAGE)).isInstanceOf(EOFException.class);
            }
        }
    }
}
