// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.stats.RegionStats;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RegionTotalsTest {

    @TempDir
    Path proc;

    private RegionStats read(String... moreLines) throws IOException {
        Files.createDirectories(proc.resolve("self"));
        Files.writeString(
                proc.resolve("self/smaps"),
                "1000-2000 rw-p 00000000 00:00 0\nRss: 4 kB\nPss: 4 kB\n" + String.join("", moreLines));
        return RegionTotals.read(new Kernel(new ScriptedBackend(), new ProcSelf(proc), proc));
    }

    @Test
    void whereNothingIsMarkedNothingIsMerged() throws IOException {
        assertThat(read("KSM: 0 kB\n").mergedBytes()).hasValue(0);
    }

    @Test
    void countersThatTheKernelLacksAreAbsentEvenIfNothingIsMarked() throws IOException {
        assertThat(read().mergedBytes()).isEmpty();
        assertThat(read().zeroBytes()).isEmpty();
    }
}
