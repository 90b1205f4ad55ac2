package io.ksm4j.micrometer;

import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Numbers that are read together and asked for one by one. Safe for use by many threads: while one reads, the others wait for
 * what it finds.
 */
final class SharedReading<T> {

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j");

    /** Readings begin at least so many times apart as the last one took: they take up 1 % of the time at most. */
    static final long SHARE = 100;

    /** Differences of {@link System#nanoTime} cannot be longer. */
    private static final Duration LONGEST = Duration.ofNanos(Long.MAX_VALUE / 2);

    private record Reading<T>(@Nullable T value, long nextAt) {}

    private final ReentrantLock turn = new ReentrantLock();
    private final String what;
    private final long interval;
    private final Supplier<T> source;
    private final LongSupplier nanoTime;

    private volatile @Nullable Reading<T> last;
    private boolean warned;

    /**
     * @param what what is read, for the log
     * @param interval how far readings are apart at least
     */
    SharedReading(String what, Duration interval, Supplier<T> source, LongSupplier nanoTime) {
        this.what = what;
        this.interval = (interval.compareTo(LONGEST) < 0 ? interval : LONGEST).toNanos();
        this.source = source;
        this.nanoTime = nanoTime;
    }

    /**
     * The last reading, or a new one if it is time.
     *
     * @return null if it failed; that is logged, and lasts until the next reading
     */
    @Nullable
    T get() {
        Reading<T> reading = last;
        if (reading == null || isOver(reading)) {
            turn.lock();
            try {
                reading = last;
                if (reading == null || isOver(reading)) {
                    reading = read();
                    last = reading;
                }
            } finally {
                turn.unlock();
            }
        }
        return reading.value();
    }

    private boolean isOver(Reading<T> reading) {
        return nanoTime.getAsLong() - reading.nextAt() >= 0;
    }

    private Reading<T> read() {
        long start = nanoTime.getAsLong();
        T value = null;
        try {
            value = source.get();
        } catch (RuntimeException e) {
            // A meter that throws would take all other meters out of the scrape.
            LOGGER.log(warned ? Level.DEBUG : Level.WARNING, "no metrics of " + what + ": " + e.getMessage(), e);
            warned = true;
        }
        long took = nanoTime.getAsLong() - start;
        return new Reading<>(value, start + Math.max(interval, SHARE * took));
    }
}
