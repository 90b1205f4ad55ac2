// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.micrometer;

import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Numbers that are read together, and kept for an interval, since meters ask for them one by one. Safe for use by
 * multiple threads: while one reads, the others wait for its result.
 */
final class CachedReading<T> {

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j");

    /**
     * The next reading starts at the earliest this many times as long after the last one as that one took: at most 1 %
     * of the time.
     */
    static final long SHARE = 100;

    /** Limit for differences of {@link System#nanoTime}. */
    private static final Duration MAX_INTERVAL = Duration.ofNanos(Long.MAX_VALUE / 2);

    private record Reading<T>(@Nullable T value, long nextAt) {}

    private final ReentrantLock lock = new ReentrantLock();
    private final String what;
    private final long interval;
    private final Supplier<T> source;
    private final LongSupplier nanoTime;

    private volatile @Nullable Reading<T> last;
    private boolean warned;

    /**
     * @param what what is read, for log messages
     * @param interval the minimum time between readings
     * @param source makes a reading
     * @param nanoTime the clock, as {@link System#nanoTime}
     */
    CachedReading(String what, Duration interval, Supplier<T> source, LongSupplier nanoTime) {
        this.what = what;
        this.interval = (interval.compareTo(MAX_INTERVAL) < 0 ? interval : MAX_INTERVAL).toNanos();
        this.source = source;
        this.nanoTime = nanoTime;
    }

    /**
     * Returns the last reading, or makes a new one if the interval is over.
     *
     * @return the numbers; null if the reading failed, which is logged, and lasts until the next reading
     */
    @Nullable
    T get() {
        Reading<T> reading = last;
        if (reading == null || hasExpired(reading)) {
            lock.lock();
            try {
                reading = last;
                if (reading == null || hasExpired(reading)) {
                    reading = read();
                    last = reading;
                }
            } finally {
                lock.unlock();
            }
        }
        return reading.value();
    }

    private boolean hasExpired(Reading<T> reading) {
        return nanoTime.getAsLong() - reading.nextAt() >= 0;
    }

    private Reading<T> read() {
        long start = nanoTime.getAsLong();
        T value = null;
        try {
            value = source.get();
        } catch (RuntimeException e) {
            // A meter that throws would remove all other meters from the scrape.
            LOGGER.log(warned ? Level.DEBUG : Level.WARNING, "no metrics of " + what + ": " + e.getMessage(), e);
            warned = true;
        }
        long took = nanoTime.getAsLong() - start;
        return new Reading<>(value, start + Math.max(interval, SHARE * took));
    }
}
