package io.ksm4j.samples.tenants;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** Tenants arrive, one after the other, and their memory is watched. */
final class Run implements AutoCloseable {

    /**
     * What was seen when a tenant had arrived and all had merged.
     *
     * @param cost bytes of data that the tenant has added
     */
    record Arrival(int tenants, Memory memory, long cost, boolean isSettled) {}

    record Sample(double seconds, Memory memory) {}

    private static final int SAMPLE_MILLIS = 100;

    final Place place;
    final Way way;
    final List<Arrival> arrivals = new ArrayList<>();
    final List<Sample> samples = new ArrayList<>();

    private final List<RunningJvm> jvms = new CopyOnWriteArrayList<>();

    Run(Place place, Way way) {
        this.place = place;
        this.way = way;
    }

    /** Lets them arrive, not closer than the interval. */
    Run run(ReferenceData data, int tenants, Duration interval, Ksmd ksmd) throws IOException, InterruptedException {
        ScheduledExecutorService sampler = Executors.newSingleThreadScheduledExecutor();
        try (this) {
            long start = System.nanoTime();
            Future<?> sampling =
                    sampler.scheduleWithFixedDelay(() -> sample(start), 0, SAMPLE_MILLIS, TimeUnit.MILLISECONDS);
            long before = 0;
            for (int i = 1; i <= tenants; i++) {
                long next = System.nanoTime() + interval.toNanos();
                if (place == Place.JVMS || i == 1) {
                    jvms.add(new RunningJvm(way, data, place == Place.JVMS ? 1 : tenants));
                }
                jvms.get(jvms.size() - 1).loadTenant();
                boolean isSettled = !way.merges() || ksmd.awaitSettled();
                TimeUnit.NANOSECONDS.sleep(next - System.nanoTime());
                Memory memory = memory();
                arrivals.add(new Arrival(i, memory, memory.data() - before, isSettled));
                before = memory.data();
            }
            sampling.cancel(false);
        } finally {
            sampler.shutdown();
            sampler.awaitTermination(1, TimeUnit.MINUTES);
        }
        return this;
    }

    private Memory memory() throws IOException {
        Memory memory = Memory.NONE;
        for (RunningJvm jvm : jvms) {
            memory = memory.plus(jvm.memory());
        }
        return memory;
    }

    private void sample(long start) {
        try {
            samples.add(new Sample((System.nanoTime() - start) / 1e9, memory()));
        } catch (IOException e) {
            // Ends the sampling, as the run does: a JVM is gone.
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() {
        jvms.forEach(RunningJvm::close);
    }
}
