// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.internal.linux.NativeMappings.Range;
import io.ksm4j.internal.linux.NativeMappings.Snapshot;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which mappings are chosen, from files in the format of {@code /proc/PID}. Addresses are in MiB. */
class NativeMappingsTest {

    private static final long PAGE = 4096;
    private static final long MIB = 1 << 20;
    private static final Range EVERYTHING = new Range(0, Long.MAX_VALUE);

    @TempDir
    private Path process;

    private final StringBuilder smaps = new StringBuilder();

    @BeforeEach
    void createFiles() throws IOException {
        try (RandomAccessFile memory = file("mem");
                RandomAccessFile pagemap = file("pagemap")) {
            memory.setLength(1000 * MIB);
            pagemap.setLength(1000 * MIB / PAGE * Long.BYTES);
        }
    }

    private RandomAccessFile file(String name) throws IOException {
        return new RandomAccessFile(process.resolve(name).toFile(), "rw");
    }

    private void mapping(long start, long end, String permissions, String flags, String name) {
        smaps.append(String.format("%x-%x %s 00000000 00:00 0 %s%n", start * MIB, end * MIB, permissions, name))
                .append("Rss: 0 kB\nPss: 0 kB\nVmFlags: rd wr ")
                .append(flags)
                .append(" ac\n");
    }

    private void memory(long start, long end) {
        mapping(start, end, "rw-p", "mr", "");
    }

    /** Writes the header of a chunk. */
    private void chunk(long start, long length) throws IOException {
        header(start * MIB, 0, length * MIB | 2);
    }

    private void header(long address, long before, long lengthAndFlags) throws IOException {
        try (RandomAccessFile memory = file("mem");
                RandomAccessFile pagemap = file("pagemap")) {
            memory.seek(address);
            memory.writeLong(Long.reverseBytes(before));
            memory.writeLong(Long.reverseBytes(lengthAndFlags));
            pagemap.seek(address / PAGE * Long.BYTES);
            pagemap.writeLong(Long.reverseBytes(1L << 63));
        }
    }

    private Snapshot snapshot() throws IOException {
        try (Smaps mappings = new Smaps(Files.writeString(process.resolve("smaps"), smaps))) {
            return Snapshot.read(mappings);
        }
    }

    /** Returns what is chosen, as {@code start-end} in MiB. */
    private List<String> chosen(List<Range> known, List<Range> baseline, List<Range> ofJvm) throws IOException {
        try (NativeMappings mappings = new NativeMappings(process, PAGE, MIB)) {
            List<String> chosen = new ArrayList<>();
            for (Range range : mappings.choose(snapshot(), known, baseline, () -> ofJvm)) {
                chosen.add(range.start() / MIB + "-" + range.end() / MIB);
            }
            return chosen;
        }
    }

    private static Range range(long start, long end) {
        return new Range(start * MIB, end * MIB);
    }

    @Test
    void chunksAreFoundByTheirHeaders() throws IOException {
        memory(1, 5);
        chunk(1, 4);
        memory(10, 20);
        chunk(10, 3);
        chunk(13, 2);
        memory(30, 40);
        memory(50, 60);
        header(50 * MIB, 0, 10 * MIB);
        memory(70, 80);
        header(70 * MIB, 16, 10 * MIB | 2);
        memory(90, 100);
        header(90 * MIB, 0, 11 * MIB | 2);

        assertThat(chosen(List.of(), List.of(EVERYTHING), List.of())).containsExactly("1-5", "10-13", "13-15");
        assertThat(chosen(List.of(range(1, 5)), List.of(EVERYTHING), List.of())).containsExactly("10-13", "13-15");
    }

    @Test
    void chunksAreFoundBehindOtherMemoryIfTheyReachItsEnd() throws IOException {
        memory(10, 30);
        chunk(15, 5);
        chunk(20, 10);
        memory(40, 50);
        chunk(42, 5);
        memory(200, 300);
        chunk(290, 10);

        assertThat(chosen(List.of(), List.of(EVERYTHING), List.of())).containsExactly("15-20", "20-30");
        assertThat(chosen(List.of(), List.of(), List.of()))
                .containsExactly("10-15", "15-20", "20-30", "40-50", "200-300");
    }

    @Test
    void heapsOfMallocAreLeftOut() throws IOException {
        memory(60, 70);
        heap(64, 64 * MIB + 0x30, 0);
        mapping(70, 128, "---p", "mr", "");
        memory(140, 150);
        memory(188, 256);
        heap(192, 64 * MIB + 0x30, 64 * MIB);
        memory(320, 330);
        heap(320, 64 * MIB, 0);

        assertThat(chosen(List.of(), List.of(), List.of())).containsExactly("60-64", "140-150", "188-192", "320-330");
    }

    private void heap(long start, long arena, long before) throws IOException {
        header(start * MIB, arena, before);
        header(start * MIB + 16, 5 * MIB, 6 * MIB);
    }

    @Test
    void queuesOfTheCollectorAreLeftOut() throws IOException {
        smaps.append("100000-201000 rw-p 00000000 00:00 0 \nRss: 0 kB\nPss: 0 kB\nVmFlags: rd wr mr\n");
        header(MIB, 0, MIB + PAGE | 2);

        assertThat(chosen(List.of(), List.of(EVERYTHING), List.of())).isEmpty();
    }

    @Test
    void memoryThatGrowsWhileItIsReadIsInTheBaseline() throws IOException {
        memory(10, 20);
        // The kernel has joined the next mapping, now readable and writable, with the one that was read before.
        memory(10, 30);
        mapping(30, 40, "---p", "mr", "");

        assertThat(snapshot().anonymous()).containsExactly(range(10, 40));
        assertThat(chosen(List.of(), List.of(range(10, 20)), List.of())).containsExactly("20-30");
    }

    @Test
    void otherMemoryIsChosenIfItIsNewAndNotOfTheJvm() throws IOException {
        memory(10, 20);
        memory(30, 40);
        memory(50, 60);
        mapping(60, 61, "---p", "mr", "");
        mapping(70, 71, "---p", "mr", "");
        memory(71, 80);
        mapping(85, 95, "rw-p", "mr nh", "");
        mapping(100, 110, "rw-p", "mr", "[heap]");
        mapping(110, 120, "rw-s", "mr", "");
        mapping(120, 130, "rwxp", "mr", "");
        mapping(130, 140, "r--p", "mr", "");
        mapping(150, 160, "rw-p", "mr", "[anon: a b c]");

        assertThat(chosen(List.of(), List.of(range(5, 12), range(30, 40)), List.of(range(40, 51))))
                .containsExactly("12-20");
        assertThat(chosen(List.of(), List.of(range(30, 40)), List.of())).containsExactly("10-20", "50-60");
        assertThat(chosen(List.of(), List.of(), List.of(EVERYTHING))).isEmpty();
    }

    @Test
    void mappingsThatDifferOnlyInMarksAreOne() throws IOException {
        memory(10, 13);
        mapping(13, 15, "rw-p", "mr mg", "");
        memory(15, 20);
        chunk(10, 10);

        assertThat(chosen(List.of(), List.of(EVERYTHING), List.of())).containsExactly("10-20");
        assertThat(snapshot().mergeable()).containsExactly(range(13, 15));
        assertThat(snapshot().anonymous()).containsExactly(range(10, 20));
    }

    @Test
    void rangesAreCombined() {
        List<Range> some = List.of(range(1, 5), range(10, 20), range(20, 30));

        assertThat(NativeMappings.without(range(0, 40), some))
                .containsExactly(range(0, 1), range(5, 10), range(30, 40));
        assertThat(NativeMappings.without(range(2, 4), some)).isEmpty();
        assertThat(NativeMappings.without(range(6, 8), some)).containsExactly(range(6, 8));
        assertThat(NativeMappings.common(some, List.of(range(4, 11), range(25, 26))))
                .containsExactly(range(4, 5), range(10, 11), range(25, 26));
    }
}
