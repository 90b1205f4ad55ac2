// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MergedPagesTest {

    @TempDir
    Path root;

    private Path file;
    private MergedPages pages;

    @BeforeEach
    void readsATree() throws IOException {
        file = Files.createDirectories(root.resolve("proc/self")).resolve("ksm_stat");
        pages = new MergedPages(root);
    }

    @Test
    void countsZeroPages() throws IOException {
        Files.writeString(
                file,
                "ksm_rmap_items 9\nksm_zero_pages 5\nksm_merging_pages 12\nksm_process_profit -8\nksm_merge_any: no\n");
        assertThat(pages.count()).isEqualTo(17);
        assertThat(pages.zeroPages()).isEqualTo(5);
    }

    @Test
    void readsTheFileAnewEachTime() throws IOException {
        Files.writeString(file, "ksm_merging_pages 1000\n");
        assertThat(pages.count()).isEqualTo(1000);
        Files.writeString(file, "ksm_merging_pages 7\n");
        assertThat(pages.count()).isEqualTo(7);
    }

    @Test
    void isUnknownWithoutTheFile() {
        assertThat(pages.count()).isEqualTo(MergedPages.UNKNOWN);
        assertThat(pages.zeroPages()).isEqualTo(MergedPages.UNKNOWN);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "\n\n",
                "ksm_rmap_items 9\n",
                "ksm_merging_pages 12",
                "ksm_merging_pages \n",
                "ksm_merging_pages -1\n",
                "ksm_merging_pages 1x\n",
                "ksm_merging_pages 18446744073709551615\n",
                "ksm_merging_pages\n",
                "xksm_merging_pages 3\n"
            })
    void isUnknownForMalformedText(String text) throws IOException {
        Files.writeString(file, text);
        assertThat(pages.count()).isEqualTo(MergedPages.UNKNOWN);
    }

    @Test
    void countsNoZeroPagesForMalformedText() throws IOException {
        Files.writeString(file, "ksm_zero_pages x\nksm_merging_pages 3\n");
        assertThat(pages.count()).isEqualTo(3);
    }
}
