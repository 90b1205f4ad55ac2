// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.measurement;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** Reads the memory of processes ten times a second. */
public final class MemorySampler {

    /**
     * The memory at one time.
     *
     * @param seconds the time since the sampler was started
     * @param memory the memory
     */
    public record Sample(double seconds, ProcessMemory memory) {}

    /** Reads the memory. */
    public interface Source {
        /**
         * Returns the memory of the processes that there are now.
         *
         * @return the memory
         * @throws IOException if a process has ended, which ends the sampling
         */
        ProcessMemory memory() throws IOException;
    }

    private static final int MILLIS = 100;

    private final ScheduledExecutorService executor = Executors.newSingleThreadScheduledExecutor();
    private final long start = System.nanoTime();
    private final List<Sample> samples = new ArrayList<>();
    private final Future<?> sampling;

    /**
     * Starts the sampling.
     *
     * @param source what is read
     */
    public MemorySampler(Source source) {
        sampling = executor.scheduleWithFixedDelay(() -> sample(source), 0, MILLIS, TimeUnit.MILLISECONDS);
    }

    private void sample(Source source) {
        try {
            samples.add(new Sample((System.nanoTime() - start) / 1e9, source.memory()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Ends the sampling. Must be called, or the JVM does not end.
     *
     * @return the samples
     * @throws InterruptedException if this thread is interrupted
     */
    public List<Sample> stop() throws InterruptedException {
        sampling.cancel(false);
        executor.shutdown();
        executor.awaitTermination(1, TimeUnit.MINUTES);
        return samples;
    }
}
