// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.micrometer;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

class CachedReadingTest {

    /** Starts close to the maximum, so that the clock overflows, as that of a JVM may. */
    private final AtomicLong clock = new AtomicLong(Long.MAX_VALUE - 1);

    private final AtomicInteger reads = new AtomicInteger();

    private CachedReading<Integer> every(Duration interval, Supplier<Integer> source) {
        return new CachedReading<>("a test", interval, source, clock::get);
    }

    private void pass(Duration time) {
        clock.addAndGet(time.toNanos());
    }

    @Test
    void aReadingIsKeptForItsInterval() {
        CachedReading<Integer> reading = every(Duration.ofSeconds(30), reads::incrementAndGet);
        assertThat(reading.get()).isEqualTo(1);
        pass(Duration.ofSeconds(30).minusNanos(1));
        assertThat(reading.get()).isEqualTo(1);
        pass(Duration.ofNanos(1));
        assertThat(reading.get()).isEqualTo(2);
        assertThat(reading.get()).isEqualTo(2);
    }

    @Test
    void readingTakesAtMostOneHundredthOfTheTime() {
        CachedReading<Integer> reading = every(Duration.ofSeconds(30), () -> {
            pass(Duration.ofSeconds(2));
            return reads.incrementAndGet();
        });
        assertThat(reading.get()).isEqualTo(1);
        pass(Duration.ofSeconds(198).minusNanos(1));
        assertThat(reading.get()).isEqualTo(1);
        pass(Duration.ofNanos(1));
        assertThat(reading.get()).isEqualTo(2);
    }

    @Test
    void aFailureIsKeptLikeAReading() {
        CachedReading<Integer> reading = every(Duration.ofSeconds(1), () -> {
            if (reads.incrementAndGet() == 2) {
                throw new IllegalStateException("as the test wants");
            }
            return reads.get();
        });
        assertThat(reading.get()).isEqualTo(1);
        pass(Duration.ofSeconds(1));
        assertThat(reading.get()).isNull();
        assertThat(reading.get()).isNull();
        assertThat(reads).hasValue(2);
        pass(Duration.ofSeconds(1));
        assertThat(reading.get()).isEqualTo(3);
    }

    @Test
    void withoutAnIntervalEachReadingIsNew() {
        CachedReading<Integer> reading = every(Duration.ZERO, reads::incrementAndGet);
        assertThat(reading.get()).isEqualTo(1);
        assertThat(reading.get()).isEqualTo(2);
    }

    @Test
    void anIntervalMayBeUnlimited() {
        CachedReading<Integer> reading = every(Duration.ofSeconds(Long.MAX_VALUE), reads::incrementAndGet);
        assertThat(reading.get()).isEqualTo(1);
        pass(Duration.ofDays(36500));
        assertThat(reading.get()).isEqualTo(1);
    }

    @Test
    void threadsWaitForAReadingInProgress() throws Exception {
        int threads = 8;
        CountDownLatch reading = new CountDownLatch(1);
        CountDownLatch mayEnd = new CountDownLatch(1);
        CachedReading<Integer> shared = every(Duration.ofSeconds(1), () -> {
            reading.countDown();
            try {
                assertThat(mayEnd.await(PATIENCE.toSeconds(), TimeUnit.SECONDS)).isTrue();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            return reads.incrementAndGet();
        });
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        try {
            List<Future<Integer>> results = new ArrayList<>();
            for (int i = 0; i < threads; i++) {
                results.add(pool.submit(shared::get));
            }
            reading.await();
            mayEnd.countDown();
            for (Future<Integer> result : results) {
                assertThat(result.get()).isEqualTo(1);
            }
        } finally {
            pool.shutdownNow();
        }
    }
}
