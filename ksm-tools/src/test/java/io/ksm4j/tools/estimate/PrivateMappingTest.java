// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PrivateMappingTest {

    @TempDir
    private Path directory;

    private List<PrivateMapping> read(String text) throws IOException {
        return PrivateMapping.read(Files.writeString(directory.resolve("smaps"), text, StandardCharsets.ISO_8859_1));
    }

    private static String mapping(String header, int anonymous, String flags) {
        return header + "\nSize: 100 kB\nRss:  99 kB\nAnonymous:  " + anonymous
                + " kB\nAnonHugePages:     4 kB\nTHPeligible: 1\nVmFlags: " + flags + " \n";
    }

    @Test
    void readsMergeableMappings() throws IOException {
        assertThat(read(mapping("7f0000000000-7f0000100000 rw-p 00000000 00:00 0", 12, "rd wr mr mw me ac")
                        + mapping("7f0000200000-7f0000300000 rw-p 00000000 00:00 0 [heap] \u00e9", 8, "rd wr mg")))
                .containsExactly(
                        new PrivateMapping(0x7f0000000000L, 0x7f0000100000L, 12 << 10, 4 << 10, false),
                        new PrivateMapping(0x7f0000200000L, 0x7f0000300000L, 8 << 10, 4 << 10, true));
    }

    @ParameterizedTest
    @ValueSource(strings = {"sh", "ms", "io", "de", "pf", "mm", "ht", "dp"})
    void skipsMappingsThatTheKernelRejects(String flag) throws IOException {
        assertThat(read(mapping("1000-2000 rw-p 00000000 00:00 0", 4, "rd wr " + flag + " ac")))
                .isEmpty();
    }

    @Test
    void skipsSharedEmptyRepeatedAndKernelMappings() throws IOException {
        assertThat(read(mapping("1000-2000 rw-s 00000000 00:00 0", 4, "rd")
                        + mapping("2000-3000 rw-p 00000000 00:00 0", 0, "rd")
                        + mapping("3000-5000 rw-p 00000000 00:00 0", 4, "rd")
                        + mapping("2000-5000 rw-p 00000000 00:00 0", 4, "rd")
                        + mapping("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]", 4, "ex")))
                .extracting(PrivateMapping::start)
                .containsExactly(0x3000L);
        assertThat(read("")).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "garbage",
                "Rss: 1 kB",
                "\n",
                "1000-2000 rw-p\n",
                "1000-10000000000000000 rw-p 0 00:00 0",
                "1000 2000 rw-p 0 00:00 0"
            })
    void rejectsInvalidContent(String text) {
        assertThatThrownBy(() -> read(text))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("invalid mapping in ");
    }
}
