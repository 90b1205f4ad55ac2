// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ProcessKsmStatsTest {

    @TempDir
    Path root;

    private Tree tree() {
        return new Tree(root);
    }

    @Test
    void missingProcessIsAnErrorThatSaysWhatToDo() {
        assertThatThrownBy(() -> ProcessKsmStats.read(root, 4711, Tree.PAGE))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining(root.resolve("proc/4711").toString())
                .hasMessageContaining("hidepid");
    }

    @ParameterizedTest
    @ValueSource(longs = {0, -1, Long.MIN_VALUE})
    void rejectsPidsThatAreNotPositive(long pid) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> ProcessKsmStats.read(pid))
                .withMessageContaining(Long.toString(pid));
    }

    /** The kernel returns empty files for its own threads and for zombie processes. */
    @Test
    void valuesOfEmptyFilesAreAbsent() {
        tree().withProcess("ksm_stat", "").withProcess("ksm_merging_pages", "");
        ProcessKsmStats stats = tree().process();
        assertThat(stats.entries()).isEmpty();
        assertThat(stats.mergingPages()).isEmpty();
        assertThat(stats.profitBytes()).isEmpty();
        assertThat(stats.mergeAny()).isEmpty();
    }

    @Test
    void readsMergingPagesWithoutKsmStat() {
        ProcessKsmStats stats = tree().withProcess("ksm_merging_pages", "12\n").process();
        assertThat(stats.mergingPages()).hasValue(12);
        assertThat(stats.mergedBytes()).hasValue(12 * 4096);
        assertThat(stats.rmapItems()).isEmpty();
        assertThat(stats.profitBytes()).isEmpty();
    }

    @Test
    void prefersTheLineInKsmStatToTheFile() {
        tree().withProcess("ksm_stat", "ksm_merging_pages 5\n").withProcess("ksm_merging_pages", "6\n");
        assertThat(tree().process().mergingPages()).hasValue(5);
    }

    @Test
    void truncatedMergingPagesFileIsAnError() {
        tree().withProcess("ksm_merging_pages", "12");
        assertThatThrownBy(() -> tree().process())
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("ksm_merging_pages")
                .hasMessageContaining("\"12\"");
    }

    @Test
    void unreadableFileIsAnErrorThatNamesIt() throws IOException {
        Files.createDirectories(root.resolve("proc/1/ksm_stat"));
        assertThatThrownBy(() -> tree().process())
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("cannot read " + root.resolve("proc/1"));
    }

    @Test
    void wrappedCountersAreAbsentButTheirTextIsNot() {
        tree().withProcess("ksm_stat", """
                ksm_rmap_items 18446744073709551615
                ksm_zero_pages -2
                ksm_merging_pages 3
                ksm_process_profit -7
                """);
        ProcessKsmStats stats = tree().process();
        assertThat(stats.rmapItems()).isEmpty();
        assertThat(stats.zeroPages()).isEmpty();
        assertThat(stats.mergingPages()).hasValue(3);
        assertThat(stats.processProfit()).hasValue(-7);
        assertThat(stats.mergedBytes()).isEmpty();
        assertThat(stats.profitBytes()).isEmpty();
        assertThat(stats.entries())
                .containsEntry("ksm_rmap_items", "18446744073709551615")
                .containsEntry("ksm_zero_pages", "-2");
    }

    @Test
    void recordsPerMergedPageAreInfiniteWithoutMergedPages() {
        tree().withProcess("ksm_stat", "ksm_rmap_items 9\nksm_zero_pages 0\nksm_merging_pages 0\n");
        assertThat(tree().process().rmapItemsPerMergedPage()).hasValue(Double.POSITIVE_INFINITY);
        assertThat(tree().process().profitBytes()).hasValue(-9 * 64);
        tree().withProcess("ksm_stat", "ksm_rmap_items 0\nksm_zero_pages 0\nksm_merging_pages 0\n");
        assertThat(tree().process().rmapItemsPerMergedPage()).isEmpty();
    }

    @Test
    void entriesAreUnmodifiable() {
        tree().withProcess("ksm_stat", "ksm_rmap_items 9\n");
        assertThatThrownBy(() -> tree().process().entries().clear()).isInstanceOf(UnsupportedOperationException.class);
    }

    @Test
    void readsThisProcessWithoutItsPid() {
        assertThat(ProcessKsmStats.read().pid())
                .isEqualTo(ProcessHandle.current().pid());
        assertThat(ProcessKsmStats.read(ProcessHandle.current().pid()).entries().keySet())
                .isEqualTo(ProcessKsmStats.read().entries().keySet());
    }
}
