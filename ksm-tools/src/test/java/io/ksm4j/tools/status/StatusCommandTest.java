// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.status;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.stats.KsmStats;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code ksm status} prints about settings. */
class StatusCommandTest {

    @TempDir
    private Path root = Path.of("");

    private KsmStats machine(String... namesAndValues) throws IOException {
        Path directory = Files.createDirectories(root.resolve("sys/kernel/mm/ksm"));
        for (int i = 0; i < namesAndValues.length; i += 2) {
            Files.writeString(directory.resolve(namesAndValues[i]), namesAndValues[i + 1] + "\n");
        }
        return KsmStats.read(root, 4096);
    }

    @Test
    void volatilePagesIncludeThoseThatSmartScanSkips() throws IOException {
        assertThat(StatusCommand.volatilePages(machine("pages_volatile", "1", "smart_scan", "0")))
                .isEqualTo("1 page that change too fast");
        assertThat(StatusCommand.volatilePages(machine("pages_volatile", "7", "smart_scan", "1")))
                .isEqualTo("7 pages that change too fast, or that smart_scan skips");
    }

    @Test
    void describesKsmdBySettings() throws IOException {
        assertThat(MachineStatus.ksmd(machine("pages_to_scan", "100")))
                .isEqualTo("unknown, because /sys/kernel/mm/ksm/run cannot be read");
        assertThat(MachineStatus.ksmd(machine("run", "0"))).isEqualTo("stopped");
        assertThat(MachineStatus.ksmd(machine("run", "2"))).isEqualTo("stopped, all pages unmerged");
        assertThat(MachineStatus.ksmd(machine("run", "1", "sleep_millisecs", "20", "advisor_mode", "none [scan-time]")))
                .isEqualTo("runs, 100 pages every 20 ms, set by the advisor");
    }
}
