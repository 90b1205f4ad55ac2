// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.attach;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.tools.status.ProcessInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code ksm attach} prints about counters that the kernel corrects only in its next scan. */
class AttachCommandTest {

    @TempDir
    private Path root;

    private List<String> lines(String run, String mergeable, boolean wasOptedIn, boolean isOptedIn) throws IOException {
        return lines(run, mergeable, wasOptedIn, isOptedIn, OptionalLong.empty());
    }

    private List<String> lines(
            String run, String mergeable, boolean wasOptedIn, boolean isOptedIn, OptionalLong nativeBytes)
            throws IOException {
        Path ksm = Files.createDirectories(root.resolve("sys/kernel/mm/ksm"));
        Files.writeString(ksm.resolve("run"), run + "\n");
        Path process = Files.createDirectories(root.resolve("proc/7"));
        Files.writeString(
                process.resolve("ksm_stat"),
                "ksm_rmap_items 2048\nksm_merging_pages 1024\nksm_process_profit 4063232\n" + mergeable);
        return AttachCommand.lines(
                new ProcessInfo(7, "Name", ProcessKsmStats.read(root, 7, 4096)),
                wasOptedIn,
                isOptedIn,
                nativeBytes,
                KsmStats.read(root, 4096));
    }

    @Test
    void marksOutdatedCounters() throws IOException {
        assertThat(lines("1", "ksm_mergeable: no\n", true, false))
                .containsExactly(
                        "7 Name is now opted out",
                        "merged 4.0 MiB, cost 128.0 KiB, profit 3.9 MiB",
                        "These counters are outdated: the kernel corrects them in ksmd's next scan.");
        assertThat(lines("0", "ksm_mergeable: no\n", false, false))
                .last()
                .asString()
                .endsWith("in ksmd's next scan, but ksmd is stopped.");
        assertThat(lines("0", "", true, false))
                .as("before Linux 6.16")
                .last()
                .asString()
                .startsWith("These counters are outdated");
    }

    @Test
    void saysHowMuchNativeMemoryMerges() throws IOException {
        assertThat(lines("1", "ksm_mergeable: yes\n", false, false, OptionalLong.of(3 << 20)))
                .hasSize(3)
                .startsWith("7 Name is opted out, and merges 3.0 MiB of native memory");
    }

    @Test
    void printsCurrentCountersAsTheyAre() throws IOException {
        assertThat(lines("1", "ksm_mergeable: yes\n", true, true)).hasSize(2);
        assertThat(lines("1", "ksm_mergeable: yes\n", false, true)).hasSize(3);
    }
}
