// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ProcSelfTest {

    /** As the kernel writes it. One file name is not UTF-8, and a part of it looks like another line. */
    private static final String MAPS = """
            00400000-00401000 r-xp 00000000 fd:00 1234                               /usr/bin/java
            10000000-10002000 rw-p 00000000 00:00 0
            10002000-10003000 ---p 00000000 00:00 0
            10005000-10006000 rw-p 00000000 00:00 0                                  [anon:a-b c]
            10006000-10007000 r--s 00000000 fd:00 99                                 /tmp/\u00fc\u00ff(\u00c3\r\
            20000000-30000000 rw-p\\012x
            7ffd7e9f1000-7ffd7ea12000 rw-p 00000000 00:00 0                          [stack]
            ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
            """;

    @TempDir
    Path proc;

    @BeforeEach
    void createSelf() throws IOException {
        Files.createDirectories(proc.resolve("self"));
        Files.createDirectories(proc.resolve("sys/vm"));
        write("self/maps", MAPS);
    }

    private void write(String file, String text) throws IOException {
        Files.writeString(proc.resolve(file), text, StandardCharsets.ISO_8859_1);
    }

    private List<AddressRange> gaps(long start, long end) {
        return new ProcSelf(proc).gaps(AddressRange.between(start, end));
    }

    private static AddressRange range(long start, long end) {
        return AddressRange.between(start, end);
    }

    @Test
    void aRangeInsideOneMappingHasNoGap() {
        assertThat(gaps(0x10000000, 0x10002000)).isEmpty();
        assertThat(gaps(0x10000800, 0x10001000)).isEmpty();
    }

    @Test
    void aRangeOverSeveralMappingsThatTouchHasNoGap() {
        assertThat(gaps(0x10000000, 0x10003000)).isEmpty();
        assertThat(gaps(0x10005000, 0x10007000)).isEmpty();
    }

    @Test
    void gapsAreFoundAtTheStartInTheMiddleAndAtTheEnd() {
        assertThat(gaps(0x0ffff000, 0x10001000)).containsExactly(range(0x0ffff000, 0x10000000));
        assertThat(gaps(0x10000000, 0x10006000)).containsExactly(range(0x10003000, 0x10005000));
        assertThat(gaps(0x10006000, 0x10009000)).containsExactly(range(0x10007000, 0x10009000));
        assertThat(gaps(0x0ffff000, 0x10009000))
                .containsExactly(
                        range(0x0ffff000, 0x10000000), range(0x10003000, 0x10005000), range(0x10007000, 0x10009000));
    }

    @Test
    void anUnmappedRangeIsOneGap() {
        assertThat(gaps(0x10003000, 0x10005000)).containsExactly(range(0x10003000, 0x10005000));
        assertThat(gaps(0x20000000, 0x30000000)).containsExactly(range(0x20000000, 0x30000000));
        assertThat(gaps(0x1000, 0x2000)).containsExactly(range(0x1000, 0x2000));
    }

    @Test
    void ignoresTheVsyscallPage() {
        assertThat(new ProcSelf(proc).mappingCount()).isEqualTo(6);
        assertThat(gaps(Long.MAX_VALUE - 8192, Long.MAX_VALUE)).hasSize(1);
    }

    @Test
    void readsTheLimitOfMappings() throws IOException {
        write("sys/vm/max_map_count", "65530\n");
        assertThat(new ProcSelf(proc).maxMapCount()).hasValue(65530);
    }

    @Test
    void anUnreadableLimitIsEmpty() throws IOException {
        assertThat(new ProcSelf(proc).maxMapCount()).isEmpty();
        write("sys/vm/max_map_count", "");
        assertThat(new ProcSelf(proc).maxMapCount()).isEmpty();
    }

    @Test
    void namesTheMissingFile() throws IOException {
        Files.delete(proc.resolve("self/maps"));
        ProcSelf missing = new ProcSelf(proc);
        assertThatThrownBy(missing::mappingCount)
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining(proc.resolve("self/maps").toString());
        assertThatThrownBy(() -> missing.notMergeable(List.of(range(0x1000, 0x2000))))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining(proc.resolve("self/smaps").toString());
    }

    // ---- smaps

    private static String entry(String header, long rss, long pss, String ksm, String flags) {
        return header + "\n"
                + "Size:                  8 kB\n"
                + "KernelPageSize:        4 kB\n"
                + "Rss:            " + rss + " kB\n"
                + "Pss:        " + pss + " kB\n"
                + "Pss_Dirty:           777 kB\n"
                + "Private_Dirty:       777 kB\n"
                + "Anonymous:           777 kB\n"
                + ksm
                + "AnonHugePages:         0 kB\n"
                + "THPeligible:           0\n"
                + "VmFlags: " + flags + "\n";
    }

    private static String ksm(long kilobytes) {
        return "KSM:        " + kilobytes + " kB\n";
    }

    private static final String MARKED = "rd wr mr mw me ac mg sd";
    private static final String UNMARKED = "rd wr mr mw me ac sd";

    private ProcSelf smaps(String... entries) throws IOException {
        write("self/smaps", String.join("", entries));
        return new ProcSelf(proc);
    }

    private ProcSelf sample() throws IOException {
        return smaps(
                entry(
                        "00400000-00401000 r-xp 00000000 fd:00 1   /tmp/\u00ff\u00c3( mg ",
                        4,
                        1,
                        ksm(0),
                        "rd ex mr mw me"),
                entry("10000000-10002000 rw-p 00000000 00:00 0", 8, 5, ksm(4), MARKED),
                entry("10002000-10003000 rw-p 00000000 00:00 0", 4, 4, ksm(0), UNMARKED),
                entry("10003000-10005000 rw-p 00000000 00:00 0", 8, 2, ksm(8), MARKED),
                entry("10008000-10009000 rw-p 00000000 00:00 0", 4, 4, ksm(0), "rd wr mg"),
                entry("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]", 0, 0, "", "ex"));
    }

    @Test
    void aMappingIsMergeableIfItHasTheFlag() throws IOException {
        assertThat(sample().notMergeable(List.of(range(0x10000000, 0x10002000))))
                .isEmpty();
        assertThat(sample().notMergeable(List.of(range(0x10008000, 0x10009000))))
                .isEmpty();
        assertThat(sample().notMergeable(List.of(range(0x00400000, 0x00401000))))
                .containsExactly(range(0x00400000, 0x00401000));
    }

    @Test
    void findsUnmergeablePartsMappedOrNot() throws IOException {
        assertThat(sample().notMergeable(List.of(range(0x0ffff000, 0x1000a000))))
                .containsExactly(
                        range(0x0ffff000, 0x10000000),
                        range(0x10002000, 0x10003000),
                        range(0x10005000, 0x10008000),
                        range(0x10009000, 0x1000a000));
        assertThat(sample().notMergeable(List.of(range(0x20000000, 0x20001000))))
                .containsExactly(range(0x20000000, 0x20001000));
    }

    /** As the kernel prints it if the mappings become one after the second has been read. */
    @Test
    void aMappingThatGrewWhileItWasReadIsStillMergeable() throws IOException {
        ProcSelf grown = smaps(
                entry("10000000-10001000 rw-p 00000000 00:00 0", 4, 4, ksm(0), MARKED),
                entry("10001000-10002000 rw-p 00000000 00:00 0", 4, 4, ksm(0), MARKED),
                entry("10000000-10005000 rw-p 00000000 00:00 0", 20, 20, ksm(0), MARKED));
        assertThat(grown.notMergeable(List.of(range(0x10000000, 0x10005000)))).isEmpty();
        assertThat(grown.notMergeable(List.of(range(0x10003000, 0x10004000)))).isEmpty();
    }

    @Test
    void readsTheLastMappingOfTheFile() throws IOException {
        ProcSelf one = smaps(entry("10000000-10002000 rw-p 00000000 00:00 0", 8, 8, ksm(0), MARKED));
        assertThat(one.notMergeable(List.of(range(0x10000000, 0x10002000)))).isEmpty();
    }

    @Test
    void mergedBytesAreBoundByTheMappingsAndTheLengthOfARange() throws IOException {
        assertThat(sample().maxMergedBytes(List.of(range(0x10000000, 0x10002000))))
                .isEqualTo(4 << 10);
        assertThat(sample().maxMergedBytes(List.of(range(0x10004000, 0x10005000))))
                .isEqualTo(4 << 10);
        assertThat(sample().maxMergedBytes(List.of(range(0x10004000, 0x10005000), range(0x10000000, 0x10001000))))
                .isEqualTo(8 << 10);
        assertThat(sample().maxMergedBytes(List.of(range(0x10002000, 0x10003000))))
                .isZero();
        assertThat(sample().maxMergedBytes(List.of(range(0x20000000, 0x20003000))))
                .isZero();
    }

    @Test
    void residentMarkedMemoryMayBeMergedIfTheKernelDoesNotReportIt() throws IOException {
        ProcSelf old = smaps(
                entry("10000000-10002000 rw-p 00000000 00:00 0", 8, 5, "", MARKED),
                entry("20000000-40000000 rw-p 00000000 00:00 0", 8, 8, "", MARKED),
                entry("50000000-50002000 rw-p 00000000 00:00 0", 8, 8, "", UNMARKED));
        assertThat(old.maxMergedBytes(List.of(range(0x10001000, 0x10002000)))).isEqualTo(4 << 10);
        assertThat(old.maxMergedBytes(List.of(range(0x20000000, 0x40000000))))
                .as("mostly not resident")
                .isEqualTo(8 << 10);
        assertThat(old.maxMergedBytes(List.of(range(0x50000000, 0x50002000)))).isZero();
    }
}
