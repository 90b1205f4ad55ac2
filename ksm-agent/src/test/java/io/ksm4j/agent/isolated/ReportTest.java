// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.agent.isolated;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.AddressRange;
import io.ksm4j.MergeGovernor;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportTest {

    @TempDir
    private Path root;

    private List<String> report(String run, int rmapItems, int zeroPages, int mergingPages) throws IOException {
        Path ksm = Files.createDirectories(root.resolve("sys/kernel/mm/ksm"));
        Files.writeString(ksm.resolve("run"), run + "\n");
        Files.writeString(ksm.resolve("pages_to_scan"), "100\n");
        Files.writeString(ksm.resolve("sleep_millisecs"), "20\n");
        Path process = Files.createDirectories(root.resolve("proc/7"));
        Files.writeString(
                process.resolve("ksm_stat"),
                "ksm_rmap_items " + rmapItems + "\nksm_zero_pages " + zeroPages + "\nksm_merging_pages " + mergingPages
                        + "\nksm_merge_any: yes\n");
        return Report.lines(ProcessKsmStats.read(root, 7, 4096), KsmStats.read(root, 4096), null);
    }

    @Test
    void reportsAProfitInOneLine() throws IOException {
        assertThat(report("1", 16384, 256, 512))
                .containsExactly("opted in; merged 3.0 MiB, 1.0 MiB of it as zero pages; records cost 1.0 MiB;"
                        + " profit 2.0 MiB; ksmd scans 100 pages every 20 ms");
    }

    @Test
    void warnsOfALoss() throws IOException {
        assertThat(report("1", 32768, 0, 256))
                .hasSize(2)
                .first()
                .asString()
                .contains("merged 1.0 MiB, ", "cost 2.0 MiB", "profit -1.0 MiB");
        assertThat(report("1", 32768, 0, 256).get(1))
                .startsWith("merging costs this process more memory than it saves");
    }

    @Test
    void doesNotWarnOfALossIfFewPagesWereScanned() throws IOException {
        assertThat(report("1", 17, 0, 0)).singleElement().asString().contains("; profit -0.0 MiB;");
    }

    @Test
    void printsADashForMissingNumbers() throws IOException {
        Path empty = Files.createDirectories(root.resolve("empty/proc/7"))
                .getParent()
                .getParent();

        assertThat(Report.lines(ProcessKsmStats.read(empty, 7, 4096), KsmStats.read(empty, 4096), null))
                .containsExactly(
                        "this kernel does not show whether the process is opted in; merged -, - of it as zero pages;"
                                + " records cost -; profit -; the state of ksmd cannot be read");
    }

    @Test
    void reportsNativeMemoryAndWhatOfItDoesNotPayOff() {
        List<AddressRange> ranges = List.of(new AddressRange(4096, 3 << 20), new AddressRange(8 << 20, 4 << 20));

        assertThat(Report.nativeMemory(ranges, List.of())).isEqualTo("native memory: 2 ranges with 7.0 MiB");
        assertThat(Report.nativeMemory(
                        ranges,
                        List.of(
                                new MergeGovernor.Rest(ranges.get(0), "", MergeGovernor.Reason.NOT_MERGED),
                                new MergeGovernor.Rest(ranges.get(1), "", MergeGovernor.Reason.COPIED))))
                .isEqualTo("native memory: 2 ranges with 7.0 MiB, 3.0 MiB unmarked because it did not merge, 4.0 MiB"
                        + " because it was copied again and again");
    }

    @Test
    void reportsThatKsmdIsStopped() throws IOException {
        assertThat(report("0", 0, 0, 0)).singleElement().asString().contains("; ksmd is stopped: ");
    }
}
