package io.ksm4j.agent.inside;

import io.ksm4j.agent.inside.AgentOptions.Reporting;
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
import org.jspecify.annotations.Nullable;

/** Reports now and then, or at the end. What it was told last holds. */
final class Reporter {

    private @Nullable Thread periodic;
    private @Nullable Thread atExit;

    /**
     * Begins to report, or ends it.
     *
     * @param file appended to; standard error if empty
     * @throws IllegalArgumentException if the file cannot be written to; then nothing has changed
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
                atExit.start(); // The program is ending.
            }
        }
    }

    private static void requireWritable(Path file) {
        // Opening a pipe waits for its reader, and the program would not start.
        if (Files.exists(file) && !Files.isRegularFile(file)) {
            throw new IllegalArgumentException("cannot write to file " + file + ": it is no regular file");
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
                return; // The program is ending, and it reports.
            }
            atExit = null;
        }
    }

    private static void reportEvery(Duration period, Optional<Path> file) {
        try {
            while (true) {
                Thread.sleep(period.toMillis());
                report(file);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void report(Optional<Path> file) {
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

    private static List<String> lines() {
        try {
            return Report.lines(ProcessKsmStats.read(), KsmStats.read());
        } catch (UncheckedIOException e) {
            return List.of("cannot tell: " + e.getMessage());
        }
    }

    private static void append(Path file, String text) throws IOException {
        Files.writeString(file, text, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }
}
