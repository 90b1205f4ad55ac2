// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.agent.isolated;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Timeout.ThreadMode.SEPARATE_THREAD;

import io.ksm4j.agent.isolated.AgentOptions.Reporting;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

class ReporterTest {

    private static final Reporting HOURLY = new Reporting(Duration.ofHours(1), false);
    private static final Reporting OFF = new Reporting(Duration.ZERO, false);

    @TempDir
    private Path directory;

    private final Reporter reporter = new Reporter(() -> null);

    private void assertRefused(Path file) {
        assertThatThrownBy(() -> reporter.report(HOURLY, Optional.of(file.toString())))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("cannot write to file " + file + ": ");
        assertThat(threads()).isEmpty();
    }

    private static List<Thread> threads() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().equals("ksm-agent-report"))
                .toList();
    }

    /** Otherwise the program would never start. */
    @Test
    @Timeout(value = 180, threadMode = SEPARATE_THREAD)
    void refusesANamedPipeWithoutAReader() throws Exception {
        Path pipe = directory.resolve("pipe");
        assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor())
                .isZero();

        assertRefused(pipe);
    }

    @Test
    void refusesPathsThatAreNotRegularFiles() {
        assertRefused(directory);
        assertRefused(directory.resolve("missing/report"));
    }

    @Test
    void theLastRequestAppliesAndTheThreadIsADaemon() throws Exception {
        Path file = directory.resolve("report");

        reporter.report(HOURLY, Optional.of(file.toString()));

        assertThat(file).isEmptyFile();
        List<Thread> threads = threads();
        assertThat(threads).singleElement().matches(Thread::isDaemon);

        reporter.report(OFF, Optional.empty());

        threads.get(0).join();
        assertThat(threads()).isEmpty();
    }
}
