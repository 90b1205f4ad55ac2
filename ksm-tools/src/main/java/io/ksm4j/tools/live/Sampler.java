// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import io.ksm4j.control.KsmdThread;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.status.MachineStatus;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/** Takes samples, each relative to the previous one. For use by one thread at a time. */
final class Sampler {

    private static final double PERCENT = 100;

    private final Optional<KsmdThread> ksmd = KsmdThread.find();

    private @Nullable KsmStats before;
    private Duration cpuTimeBefore = Duration.ZERO;
    private long nanoTimeBefore;

    /**
     * Takes a sample.
     *
     * @throws CommandFailedException if the kernel has no KSM
     * @throws java.io.UncheckedIOException if a file cannot be read or has unexpected content
     */
    Sample next() {
        KsmStats machine = MachineStatus.read();
        long nanoTime = System.nanoTime();
        Duration cpuTime = ksmd.map(KsmdThread::cpuTime).orElse(Duration.ZERO);
        OptionalDouble percent = OptionalDouble.empty();
        OptionalDouble pages = OptionalDouble.empty();
        if (before != null) {
            pages = machine.since(before).pagesPerSecond();
            if (ksmd.isPresent()) {
                double used = cpuTime.minus(cpuTimeBefore).toNanos();
                percent = OptionalDouble.of(PERCENT * used / Math.max(1, nanoTime - nanoTimeBefore));
            }
        }
        before = machine;
        cpuTimeBefore = cpuTime;
        nanoTimeBefore = nanoTime;
        return new Sample(Instant.now(), machine, percent, pages);
    }
}
