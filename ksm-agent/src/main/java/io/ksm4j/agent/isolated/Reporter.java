// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.agent.isolated;

import io.ksm4j.NativeMemory;
import io.ksm4j.agent.isolated.AgentOptions.Reporting;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Reports periodically or at exit, as last requested. For use by one thread at a time. */
final class Reporter {

    private final Supplier<@Nullable NativeMemory> nativeMemory;
    private @Nullable Thread periodic;
    private @Nullable Thread atExit;

    /** @param nativeMemory returns the native memory that merges, or null; called by any thread */
    Reporter(Supplier<@Nullable NativeMemory> nativeMemory) {
        this.nativeMemory = nativeMemory;
    }

    /**
     * Starts or stops reporting.
     *
     * @param file the file to append to; empty for standard error
     * @throws IllegalArgumentException if the file cannot be written to; nothing has changed then
     */
    void report(Reporting reporting, Optional<String> file) {
        Optional<Path> path = file.map(Path::of);
        path.ifPresent(Reporter::requireWritable);
        stop();
        if (!reporting.period().isZero()) {
            periodic = new Thread(() -> reportEvery(reporting.period(), path), "ksm-agent-report");
            periodic.setDaemon(true);
            periodic.start();
        }
        if (reporting.atExit()) {
            atExit = new Thread(() -> report(path), "ksm-agent-report");
            try {
                Runtime.getRuntime().addShutdownHook(atExit);
            } catch (IllegalStateException e) {
                atExit.start(); // The program is exiting.
            }
        }
    }

    private static void requireWritable(Path file) {
        // Opening a named pipe waits for its reader, so the program would not start.
        if (Files.exists(file) && !Files.isRegularFile(file)) {
            throw new IllegalArgumentException("cannot write to file " + file + ": it is not a regular file");
        }
        try {
            append(file, "");
        } catch (IOException e) {
            throw new IllegalArgumentException("cannot write to file " + file + ": " + e, e);
        }
    }

    private void stop() {
        if (periodic != null) {
            periodic.interrupt();
            periodic = null;
        }
        if (atExit != null) {
            try {
                Runtime.getRuntime().removeShutdownHook(atExit);
            } catch (IllegalStateException e) {
                return; // The program is exiting, and the hook reports.
            }
            atExit = null;
        }
    }

    private void reportEvery(Duration period, Optional<Path> file) {
        try {
            while (true) {
                Thread.sleep(period.toMillis());
                report(file);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void report(Optional<Path> file) {
        Instant now = Instant.now().truncatedTo(ChronoUnit.SECONDS);
        StringBuilder text = new StringBuilder();
        for (String line : lines()) {
            text.append(now).append(" ksm-agent: ").append(line).append(System.lineSeparator());
        }
        try {
            if (file.isPresent()) {
                append(file.get(), text.toString());
            } else {
                System.err.print(text);
            }
        } catch (IOException e) {
            System.err.println("ksm-agent: cannot write to file " + file.get() + ": " + e);
        }
    }

    private List<String> lines() {
        try {
            return Report.lines(ProcessKsmStats.read(), KsmStats.read(), nativeMemory.get());
        } catch (UncheckedIOException e) {
            return List.of("no report: " + e.getMessage());
        }
    }

    private static void append(Path file, String text) throws IOException {
        Files.writeString(file, text, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }
}
