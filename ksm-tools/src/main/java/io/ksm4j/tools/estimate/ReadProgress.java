package io.ksm4j.tools.estimate;

import io.ksm4j.tools.output.ByteCount;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Shows on standard error how much has been read, if that is a terminal. For one thread. */
final class ReadProgress implements AutoCloseable {

    /** Where the clock has not gone on, there is no rate. */
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
            // However it ends.
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

    /** So many bytes more are to be read. */
    void expect(long bytes) {
        expected += bytes;
    }

    /** So many bytes of those expected are not read. */
    void skip(long bytes) {
        expected -= bytes;
    }

    /** So many bytes have been read. */
    void add(long bytes) {
        done += bytes;
        if (isShown && System.nanoTime() - next >= 0) {
            next = System.nanoTime() + UPDATE_INTERVAL_NANOS;
            System.err.print(CLEAR_LINE + ByteCount.text(done) + " of " + ByteCount.text(Math.max(done, expected))
                    + ", " + rate());
            System.err.flush();
        }
    }

    /** Bytes that have been read. */
    long done() {
        return done;
    }

    /** Some time passed in which nothing was to be read. */
    void pause(long nanos) {
        start += nanos;
    }

    /** Since it began, without pauses. */
    double seconds() {
        return (System.nanoTime() - start) / 1e9;
    }

    /** Makes room for a message. */
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

    /** Of what was read until now. */
    String rate() {
        return ByteCount.text((long) (done / Math.max(seconds(), MIN_SECONDS))) + "/s";
    }
}
