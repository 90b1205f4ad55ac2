// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Readings of a temporary tree of files. */
class ObservationReaderTest {

    private static final int PAGE = 4096;

    @TempDir
    private Path root = Path.of("");

    @BeforeEach
    void createFiles() throws IOException {
        write("sys/kernel/mm/ksm/run", "1\n");
        write("sys/kernel/mm/ksm/advisor_mode", "none [scan-time]\n");
        write("sys/kernel/mm/ksm/pages_shared", "10\n");
        write("sys/kernel/mm/ksm/pages_sharing", "20\n");
        write("sys/kernel/mm/ksm/pages_unshared", "30\n");
        write("sys/kernel/mm/ksm/pages_volatile", "40\n");
        write("sys/kernel/mm/ksm/full_scans", "5\n");
        write("proc/meminfo", """
                MemTotal:  1000 kB
                MemFree:  100 kB
                MemAvailable: 300 kB
                Buffers: 10 kB
                Cached: 90 kB
                AnonPages:   400 kB
                HugePages_Total:       0
                """);
        write(
                "proc/pressure/memory",
                "some avg10=1.25 avg60=0.00 avg300=0.00 total=0\nfull avg10=9.00 avg60=0 total=0\n");
        write("proc/7/stat", "7 (ksmd) S 1 0 0 0 -1 0 1 0 0 0 11 22 0 0 25 5 1 0 33\n");
        write("proc/36/stat", "36 (ksmd) S 2 0 0 0 -1 0 1 0 0 0 1200 345 0 0 25 5 1 0 33\n");
    }

    private void write(String name, String text) throws IOException {
        Path file = root.resolve(name);
        Files.createDirectories(file.getParent());
        Files.writeString(file, text);
    }

    private Observation read() {
        return new ObservationReader(root, PAGE).read();
    }

    @Test
    void readsEveryNumberFromItsFile() {
        Observation now = read();
        assertThat(now.settings()).hasToString("run=1 advisor_mode=scan-time");
        assertThat(now.pagesSharing()).hasValue(20);
        assertThat(now.pagesKnown()).hasValue(100);
        assertThat(now.pagesVolatile()).hasValue(40);
        assertThat(now.fullScans()).hasValue(5);
        assertThat(now.zeroPages()).isEmpty();
        assertThat(now.pagesScanned()).isEmpty();
        assertThat(now.memoryTotal()).hasValue(1000 * 1024);
        assertThat(now.memoryAvailable()).hasValue(300 * 1024);
        assertThat(now.memoryFree()).hasValue(200 * 1024);
        assertThat(now.memoryCommitted()).hasValue(400 * 1024 + 20 * PAGE);
        assertThat(now.stalledPercent()).hasValue(1.25);
        assertThat(now.ksmdTime())
                .as("of the kernel thread, not of a program with the same name")
                .hasValue(Duration.ofMillis(15_450));
        assertThat(now.time()).isPositive();
    }

    @Test
    void numbersOfMissingFilesAreAbsent() {
        Observation now = new ObservationReader(root.resolve("missing"), PAGE).read();
        assertThat(now.settings()).isEqualTo(KsmSettings.EMPTY);
        assertThat(now.fullScans()).isEmpty();
        assertThat(now.ksmdTime()).isEmpty();
        assertThat(now.memoryTotal()).isEmpty();
        assertThat(now.memoryFree()).isEmpty();
        assertThat(now.memoryCommitted()).isEmpty();
        assertThat(now.stalledPercent()).isEmpty();
    }

    /** A directory stands in for the file under the boot option psi=0, which can be opened but not read. */
    @Test
    void unreadablePressureStallsAreAbsent() throws IOException {
        Path file = root.resolve("proc/pressure/memory");
        Files.delete(file);
        Files.createDirectory(file);
        assertThat(read().stalledPercent()).isEmpty();
        assertThat(read().memoryTotal()).isPresent();
    }

    @Test
    void aMalformedFileIsAnErrorThatNamesIt() throws IOException {
        for (String name : new String[] {
            "sys/kernel/mm/ksm/advisor_mode",
            "sys/kernel/mm/ksm/pages_sharing",
            "proc/pressure/memory",
            "proc/36/stat",
            "proc/meminfo"
        }) {
            createFiles();
            String text = Files.readString(root.resolve(name));
            write(name, text.replaceAll("(?<=avg10=)1|(?<=12)0|1000|20|scan", "x"));
            assertThatThrownBy(this::read)
                    .as(name)
                    .isInstanceOf(UncheckedIOException.class)
                    .hasStackTraceContaining(name);
        }
    }
}
