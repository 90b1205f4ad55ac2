// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.RegionStats;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;

/** Reads the statistics of merging in a separate thread, because that takes milliseconds. */
final class MergingSampler implements AutoCloseable {

    /** The statistics of one moment. */
    record Sample(Snapshot.Merging merging, Snapshot.Ksmd ksmd) {}

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j.samples");

    /** The PID of the parent of all kernel threads. */
    private static final long KTHREADD = 2;

    private static final int IDLE_INTERVAL_SECONDS = 10;

    private final Store store;
    private final Optional<ProcessHandle> ksmd = findKsmd();
    private final ScheduledExecutorService executor = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "ksm-sampler");
        thread.setDaemon(true);
        return thread;
    });

    private volatile Sample latest = new Sample(Snapshot.Merging.NONE, Snapshot.Ksmd.UNKNOWN);
    private volatile boolean requested;
    private int seconds;
    private long lastSampleNanos = System.nanoTime();
    private Optional<Duration> lastCpuTime = cpuTime();

    MergingSampler(Store store) {
        this.store = store;
        ScheduledFuture<?> unused = executor.scheduleWithFixedDelay(this::tick, 0, 1, TimeUnit.SECONDS);
    }

    /** Returns the latest sample, and requests a new one within a second. */
    Sample latest() {
        requested = true;
        return latest;
    }

    private void tick() {
        if (requested || seconds % IDLE_INTERVAL_SECONDS == 0) {
            requested = false;
            seconds = 0;
            try {
                latest = sample();
            } catch (RuntimeException | Error e) {
                // It would not be called again.
                LOGGER.log(Level.WARNING, "the statistics of merging could not be read", e);
            }
        }
        seconds++;
    }

    private Sample sample() {
        RegionStats regions = store.mergeStats();
        // Values that share pages have requested them, too.
        long shared = store.sharedBytes();
        long requestedBytes = regions.residentBytes() + regions.zeroBytes().orElse(0) + shared;
        long saved = regions.savedBytes() + regions.zeroBytes().orElse(0) + shared;
        KsmStats machine = KsmStats.read();
        return new Sample(
                new Snapshot.Merging(requestedBytes, requestedBytes - saved, saved),
                new Snapshot.Ksmd(
                        machine.run().orElse(0) == 1, coreShare(), machine.fullScans(), machine.pagesSharing()));
    }

    private OptionalDouble coreShare() {
        long now = System.nanoTime();
        Optional<Duration> time = cpuTime();
        OptionalDouble share = OptionalDouble.empty();
        if (time.isPresent() && lastCpuTime.isPresent()) {
            double spent = time.get().minus(lastCpuTime.get()).toNanos();
            share = OptionalDouble.of(Math.max(0, Math.min(1, spent / (now - lastSampleNanos))));
        }
        lastSampleNanos = now;
        lastCpuTime = time;
        return share;
    }

    private Optional<Duration> cpuTime() {
        return ksmd.flatMap(thread -> thread.info().totalCpuDuration());
    }

    private static Optional<ProcessHandle> findKsmd() {
        return ProcessHandle.of(KTHREADD).stream()
                .flatMap(ProcessHandle::children)
                .filter(thread -> name(thread).equals("ksmd"))
                .findFirst();
    }

    private static String name(ProcessHandle thread) {
        try {
            return Files.readString(Path.of("/proc", Long.toString(thread.pid()), "comm"))
                    .trim();
        } catch (IOException e) {
            return "";
        }
    }

    @Override
    public void close() {
        executor.shutdown();
        try {
            if (!executor.awaitTermination(10, TimeUnit.SECONDS)) {
                LOGGER.log(Level.WARNING, "reading the statistics of merging takes long");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
