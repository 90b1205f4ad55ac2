// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Processes made of files. */
class MallocArenasTest {

    private static final String GLIBC =
            mapping("7ff000000000-7ff000020000 r-xp 00000000 08:01 12 /usr/lib/x86_64-linux-gnu/libc.so.6", 4, 0, "rd");

    @TempDir
    private Path process;

    private static String mapping(String header, int anonymous, int merged, String flags) {
        return header + "\nAnonymous: " + anonymous + " kB\nKSM: " + merged + " kB\nVmFlags: " + flags + " \n";
    }

    private MallocArenas read(String smaps, String... environment) throws IOException {
        Files.writeString(process.resolve("smaps"), smaps, StandardCharsets.ISO_8859_1);
        Files.writeString(
                process.resolve("environ"), String.join("\0", environment) + "\0", StandardCharsets.ISO_8859_1);
        return MallocArenas.read(process).orElseThrow();
    }

    private void assertArenas(String smaps, int bytes, int merged) throws IOException {
        assertThat(read(smaps + GLIBC)).isEqualTo(new MallocArenas(bytes << 10, OptionalLong.of(merged << 10), false));
    }

    @Test
    void addsUpTheHeapAndTheUsedPartsOfReservations() throws IOException {
        assertArenas(
                mapping("55c057ceb000-55c05bd3a000 rw-p 00000000 00:00 0 [heap]", 100, 8, "rd wr ac")
                        + mapping("7fc57c000000-7fc57ffef000 rw-p 00000000 00:00 0", 200, 12, "rd wr nr mg")
                        + mapping("7fc57ffef000-7fc580000000 ---p 00000000 00:00 0", 0, 0, "mr nr mg"),
                300,
                20);
    }

    @Test
    void aReservationMayBeUsedCompletely() throws IOException {
        assertArenas(mapping("7fc57c000000-7fc580000000 rw-p 00000000 00:00 0", 64, 0, "rd wr nr"), 64, 0);
    }

    /** The kernel joins adjacent mappings. */
    @Test
    void reservationsMayFollowEachOther() throws IOException {
        assertArenas(
                mapping("7fc57c000000-7fc583000000 rw-p 00000000 00:00 0", 64, 0, "rd wr nr")
                        + mapping("7fc583000000-7fc58c000000 ---p 00000000 00:00 0", 0, 0, "nr"),
                64,
                0);
    }

    @Test
    void aJavaHeapAndLargeBlocksAreNoArenas() throws IOException {
        assertArenas(
                mapping("fc000000-fe000000 rw-p 00000000 00:00 0", 100, 0, "rd wr ac")
                        + mapping("fe000000-100000000 ---p 00000000 00:00 0", 0, 0, "nr")
                        + mapping("7fc57c021000-7fc57d000000 rw-p 00000000 00:00 0", 100, 0, "rd wr nr")
                        + mapping("7fc57d000000-7fc580000000 ---p 00000000 00:00 0", 0, 0, "nr")
                        + mapping("7fc584000000-7fc585000000 rw-p 00000000 00:00 0", 100, 0, "rd wr nr")
                        + mapping("7fc585000000-7fc586000000 ---p 00000000 00:00 0", 0, 0, "nr"),
                0,
                0);
    }

    @Test
    void kernelsThatDoNotReportMergedPagesLeaveTheNumberEmpty() throws IOException {
        String heap = "55c057ceb000-55c05bd3a000 rw-p 00000000 00:00 0 [heap]\nAnonymous: 4 kB\nVmFlags: rd wr\n";

        assertThat(read(heap + GLIBC)).isEqualTo(new MallocArenas(4 << 10, OptionalLong.empty(), false));
    }

    @Test
    void aProcessWithoutGlibcHasNone() throws IOException {
        String musl = "7ff000000000-7ff000020000 r-xp 00000000 08:01 12 /lib/ld-musl-x86_64.so.1";
        Files.writeString(process.resolve("smaps"), mapping(musl, 4, 0, "rd"));

        assertThat(MallocArenas.read(process)).isEmpty();
    }

    @Test
    void aProcessThatMayNotBeReadIsAnError() {
        assertThatThrownBy(() -> MallocArenas.read(process)).isInstanceOf(NoSuchFileException.class);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "MALLOC_MMAP_THRESHOLD_=131072",
                "MALLOC_TRIM_THRESHOLD_=131072",
                "MALLOC_TOP_PAD_=0",
                "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072",
                "GLIBC_TUNABLES=glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=131072"
            })
    void theseVariablesFixTheThreshold(String variable) throws IOException {
        assertThat(read(GLIBC, "A=\u00e9", variable, "B=").isThresholdFixed()).isTrue();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "MALLOC_MMAP_THRESHOLD=131072",
                "MALLOC_MMAP_THRESHOLD_=",
                "MALLOC_ARENA_MAX=1",
                "X=MALLOC_MMAP_THRESHOLD_=1",
                "GLIBC_TUNABLES=glibc.malloc.mmap_threshold",
                "GLIBC_TUNABLES=glibc.malloc.arena_max=1"
            })
    void theseVariablesDoNot(String variable) throws IOException {
        assertThat(read(GLIBC, variable).isThresholdFixed()).isFalse();
    }

    @Test
    void muchUnmergedMemoryIsAReasonToFixTheThreshold() {
        long much = 16 << 20;
        assertThat(new MallocArenas(much, OptionalLong.of(0), false).shouldFixThreshold())
                .isTrue();
        assertThat(new MallocArenas(much, OptionalLong.empty(), false).shouldFixThreshold())
                .isTrue();
        assertThat(new MallocArenas(much, OptionalLong.of(4096), false).shouldFixThreshold())
                .isFalse();
        assertThat(new MallocArenas(much, OptionalLong.of(0), true).shouldFixThreshold())
                .isFalse();
    }
}
