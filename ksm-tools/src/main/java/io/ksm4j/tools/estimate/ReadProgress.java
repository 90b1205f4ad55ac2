// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.tools.output.ByteCount;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Counts what has been read, and shows that on standard error if it is a terminal. For use by one thread. */
final class ReadProgress implements AutoCloseable {

    /** If the clock has not advanced, there is no rate. */
    private static final double MIN_SECONDS = 1e-3;

    private static final long UPDATE_INTERVAL_NANOS = 200_000_000;
    private static final String CLEAR_LINE = "\r\u001b[K";

    private final boolean isShown = isTerminal();
    private long start = System.nanoTime();

    private long expected;
    private long done;
    private long next = start + UPDATE_INTERVAL_NANOS;

    ReadProgress() {
        if (isShown) {
            // Also clears the line if a signal ends the process.
            Runtime.getRuntime().addShutdownHook(new Thread(this::clear));
        }
    }

    private static boolean isTerminal() {
        try {
            Path file = Files.readSymbolicLink(Path.of("/proc/self/fd/2"));
            return file.startsWith("/dev/pts") || file.toString().matches("/dev/(tty|console).*");
        } catch (IOException e) {
            return false;
        }
    }

    /** Starts the clock, with this many bytes to read. */
    void begin(long bytes) {
        start = System.nanoTime();
        next = start + UPDATE_INTERVAL_NANOS;
        expected = bytes;
    }

    /** Removes bytes that will not be read from those expected. */
    void skip(long bytes) {
        expected -= bytes;
    }

    /** Adds bytes that have been read. */
    void add(long bytes) {
        done += bytes;
        if (isShown && System.nanoTime() - next >= 0) {
            next = System.nanoTime() + UPDATE_INTERVAL_NANOS;
            System.err.print(CLEAR_LINE + ByteCount.text(done) + " of " + ByteCount.text(Math.max(done, expected))
                    + ", " + rate());
            System.err.flush();
        }
    }

    /** Returns the number of bytes that have been read. */
    long done() {
        return done;
    }

    /** Excludes a time in which nothing was to be read. */
    void pause(long nanos) {
        start += nanos;
    }

    /** Returns the time since the start in seconds, without pauses. */
    double seconds() {
        return (System.nanoTime() - start) / 1e9;
    }

    /** Clears the line for a message. */
    void clear() {
        if (isShown) {
            System.err.print(CLEAR_LINE);
            System.err.flush();
        }
    }

    @Override
    public void close() {
        clear();
    }

    /** Returns the average rate until now, as text. */
    String rate() {
        return ByteCount.text((long) (done / Math.max(seconds(), MIN_SECONDS))) + "/s";
    }
}
