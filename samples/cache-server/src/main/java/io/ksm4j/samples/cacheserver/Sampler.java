package io.ksm4j.samples.cacheserver;

import io.ksm4j.KsmException;
import io.ksm4j.pool.MergePool;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.RegionStats;
import java.io.IOException;
import java.io.UncheckedIOException;
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

/** Reads what merging does, in a thread of its own, because that takes milliseconds. */
final class Sampler implements AutoCloseable {

    /** What one look has found. */
    record Sample(Snapshot.Merging merging, Snapshot.Ksmd ksmd) {}

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j.samples");

    /** The parent of all threads of the kernel. */
    private static final long KTHREADD = 2;

    private static final int SECONDS_WHILE_NOBODY_ASKS = 10;

    private final MergePool pool;
    private final Optional<ProcessHandle> ksmd = findKsmd();
    private final ScheduledExecutorService executor = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "ksm-sampler");
        thread.setDaemon(true);
        return thread;
    });

    private volatile Sample latest = new Sample(Snapshot.Merging.NONE, Snapshot.Ksmd.UNKNOWN);
    private volatile boolean asked;
    private int seconds;
    private long lastLook = System.nanoTime();
    private Optional<Duration> lastTime = time();

    Sampler(MergePool pool) {
        this.pool = pool;
        ScheduledFuture<?> unused = executor.scheduleWithFixedDelay(this::tick, 0, 1, TimeUnit.SECONDS);
    }

    /** The latest sample; the next one will be there in a second. */
    Sample latest() {
        asked = true;
        return latest;
    }

    private void tick() {
        if (asked || seconds % SECONDS_WHILE_NOBODY_ASKS == 0) {
            asked = false;
            seconds = 0;
            try {
                latest = sample();
            } catch (KsmException | UncheckedIOException e) {
                LOGGER.log(Level.WARNING, "what merging does could not be read", e);
            }
        }
        seconds++;
    }

    private Sample sample() {
        RegionStats regions = pool.mergeStats();
        long asked = regions.residentBytes() + regions.zeroBytes().orElse(0);
        long saved = regions.savedBytes() + regions.zeroBytes().orElse(0);
        KsmStats machine = KsmStats.read();
        return new Sample(
                new Snapshot.Merging(asked, asked - saved, saved),
                new Snapshot.Ksmd(
                        machine.run().orElse(0) == 1, coreShare(), machine.fullScans(), machine.pagesSharing()));
    }

    private OptionalDouble coreShare() {
        long now = System.nanoTime();
        Optional<Duration> time = time();
        OptionalDouble share = OptionalDouble.empty();
        if (time.isPresent() && lastTime.isPresent()) {
            double spent = time.get().minus(lastTime.get()).toNanos();
            share = OptionalDouble.of(Math.max(0, Math.min(1, spent / (now - lastLook))));
        }
        lastLook = now;
        lastTime = time;
        return share;
    }

    private Optional<Duration> time() {
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
                LOGGER.log(Level.WARNING, "reading what merging does takes long");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
