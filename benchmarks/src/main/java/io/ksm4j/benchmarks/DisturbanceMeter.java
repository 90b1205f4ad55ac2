// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Pattern;
import java.util.zip.CRC32;

/**
 * Measures the {@link Disturbance} of a benchmark that runs in this process, in child processes that end before it, and
 * in {@code ksmd}.
 *
 * <p>The load average and {@code /proc/pressure/cpu} are not used: they count the benchmark's own threads too. A loop
 * runs before and after the benchmark, because not every hypervisor tells its guests what it steals.
 */
public final class DisturbanceMeter {

    /** The unit of CPU time in {@code /proc}, on all processors that run Java: USER_HZ. */
    private static final double TICKS_A_SECOND = 100;

    /** Before the benchmark, and as many after it. */
    private static final int LOOPS = 50;

    private static final int STEPS = 2000;
    private static final int BYTES_A_STEP = 64 << 10;

    private static final Pattern SPACES = Pattern.compile(" +");

    /**
     * CPU time since the machine started, in ticks.
     *
     * @param all of all CPUs, whether used or idle
     * @param others used by other processes
     */
    private record CpuTime(double all, double steal, double others) {}

    private final Path proc;
    private final KsmdCpuTime ksmd;
    private final byte[] bytes = new byte[BYTES_A_STEP];

    /** An intrinsic function even of the interpreter, so that the loop needs no warm-up. */
    private final CRC32 checksum = new CRC32();

    private final double[] loopNanos = new double[2 * LOOPS];
    private final CpuTime start;

    DisturbanceMeter(Path proc) throws IOException {
        this.proc = proc;
        this.ksmd = new KsmdCpuTime(proc);
        this.start = cpuTime();
        measureLoops(0);
    }

    /** Starts right before the benchmark. */
    public static DisturbanceMeter start() throws IOException {
        return new DisturbanceMeter(Path.of("/proc"));
    }

    /** Ends right after the benchmark. */
    public Disturbance stop() throws IOException {
        measureLoops(LOOPS);
        CpuTime end = cpuTime();
        double all = end.all - start.all;
        // The kernel counts the time of CPUs by sampling, that of processes exactly, so the difference may be negative.
        return new Disturbance(
                (end.steal - start.steal) / all, Math.max(0, end.others - start.others) / all, variation(loopNanos));
    }

    /** Returns the ninth decile divided by the first: results are medians, which single outliers do not change. */
    static double variation(double[] times) {
        double[] sorted = times.clone();
        Arrays.sort(sorted);
        int decile = sorted.length / 10;
        return sorted[sorted.length - 1 - decile] / sorted[decile];
    }

    private void measureLoops(int first) {
        for (int i = first; i < first + LOOPS; i++) {
            long before = System.nanoTime();
            for (int step = 0; step < STEPS; step++) {
                checksum.update(bytes);
            }
            loopNanos[i] = System.nanoTime() - before;
        }
    }

    private CpuTime cpuTime() throws IOException {
        String stat = Files.readString(proc.resolve("stat"));
        // The first line is the sum of all CPUs: cpu user nice system idle iowait irq softirq steal ...
        long[] times = numbers(stat.substring("cpu".length(), stat.indexOf('\n')), 8);
        long all = Arrays.stream(times).sum();
        long steal = times[7];
        long busy = all - times[3] - times[4] - steal;
        OwnCpuTime own = OwnCpuTime.read(proc);
        return new CpuTime(all, steal, busy - own.process() - own.children() - ksmd.seconds() * TICKS_A_SECOND);
    }

    /** Returns the first numbers of a text whose fields each follow a space. */
    private static long[] numbers(String fields, int count) {
        return SPACES.splitAsStream(fields.strip())
                .limit(count)
                .mapToLong(Long::parseLong)
                .toArray();
    }
}
