// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.LongRange;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;

@Tag("more")
class MergedPagesPropertiesTest {

    private static Path root = Path.of("");
    private static Path file = Path.of("");

    @BeforeContainer
    static void createFile() throws IOException {
        root = Files.createTempDirectory("merged-pages");
        file = Files.createDirectories(root.resolve("proc/self")).resolve("ksm_stat");
    }

    @AfterContainer
    static void deleteFile() throws IOException {
        for (Path path : List.of(file, root.resolve("proc/self"), root.resolve("proc"), root)) {
            Files.delete(path);
        }
    }

    private static String text(long merging, long zero, Random order) {
        List<String> lines = new ArrayList<>(List.of(
                "ksm_rmap_items 4711",
                "ksm_zero_pages " + zero,
                "ksm_merging_pages " + merging,
                "ksm_process_profit -8",
                "ksm_merging_pages_of_a_future_kernel 99",
                "ksm_merge_any: no"));
        Collections.shuffle(lines, order);
        return String.join("\n", lines) + "\n";
    }

    @Property(tries = 200)
    void acceptsLinesInAnyOrder(
            @ForAll @LongRange(max = 1L << 49) long merging,
            @ForAll @LongRange(max = 1L << 49) long zero,
            @ForAll Random order)
            throws IOException {
        Files.writeString(file, text(merging, zero, order));
        MergedPages pages = new MergedPages(root);
        assertThat(pages.count()).isEqualTo(merging + zero);
        assertThat(pages.zeroPages()).isEqualTo(zero);
    }

    @Property(tries = 200)
    void truncatedFileYieldsNoWrongNumbers(
            @ForAll @LongRange(max = 1L << 49) long merging,
            @ForAll @LongRange(max = 1L << 49) long zero,
            @ForAll Random random)
            throws IOException {
        String whole = text(merging, zero, random);
        Files.writeString(file, whole.substring(0, random.nextInt(whole.length())));
        MergedPages pages = new MergedPages(root);
        assertThat(pages.zeroPages()).isIn(zero, MergedPages.UNKNOWN);
        assertThat(pages.count()).isIn(merging + zero, merging, MergedPages.UNKNOWN);
    }

    @Property(tries = 300)
    void anyBytesYieldANumberInThemOrUnknown(@ForAll byte[] bytes) throws IOException {
        Files.write(file, bytes);
        long zero = new MergedPages(root).zeroPages();
        if (zero != MergedPages.UNKNOWN) {
            assertThat(new String(bytes, StandardCharsets.ISO_8859_1)).contains("ksm_zero_pages " + zero + "\n");
        }
    }
}
