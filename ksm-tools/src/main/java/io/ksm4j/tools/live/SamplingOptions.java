// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import io.ksm4j.tools.output.ArgumentChecks;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Options of the commands that show samples: how often and how many. Runs a view accordingly. */
final class SamplingOptions {

    private static final double MIN_INTERVAL = 0.1;
    private static final double MAX_INTERVAL = 86_400;

    @Option(
            names = "--interval",
            paramLabel = "SECONDS",
            description = "time between samples, 0.1 to 86400 (default: ${DEFAULT-VALUE})")
    private double interval = 2;

    @Option(
            names = {"-n", "--count"},
            paramLabel = "COUNT",
            description = "print this many samples as text, then exit")
    private Optional<Long> count = Optional.empty();

    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    /**
     * Rejects values out of range.
     *
     * @throws ParameterException if a value is out of range
     */
    void check() {
        ArgumentChecks.require(
                spec,
                interval >= MIN_INTERVAL && interval <= MAX_INTERVAL,
                "invalid --interval " + interval + ": must be 0.1 to 86400 seconds");
        ArgumentChecks.require(
                spec, count.orElse(1L) >= 1, "invalid --count " + count.orElse(1L) + ": must be at least 1");
    }

    void setCount(long samples) {
        count = Optional.of(samples);
    }

    /** Returns the time between samples in seconds. */
    double interval() {
        return interval;
    }

    /**
     * Shows a view until the user presses q, all samples are taken, or there is nothing left to show. Uses the screen
     * if there is one, unless a count was given or text was requested.
     */
    void show(LiveView view, boolean asText) throws InterruptedException {
        if (!view.update()) {
            return;
        }
        Optional<Screen> screen = asText || count.isPresent() ? Optional.empty() : Screen.open(view);
        if (screen.isPresent()) {
            onScreen(view, screen.get());
        } else {
            asText(view);
        }
    }

    private void onScreen(LiveView view, Screen screen) {
        try (screen) {
            screen.draw();
            long next = System.nanoTime();
            while (true) {
                next = following(next);
                if (screen.isLeftBefore(next) || !view.update()) {
                    return;
                }
                screen.draw();
            }
        }
    }

    private void asText(LiveView view) throws InterruptedException {
        print(view);
        long next = System.nanoTime();
        for (long samples = 1; samples < count.orElse(Long.MAX_VALUE); samples++) {
            next = following(next);
            TimeUnit.NANOSECONDS.sleep(next - System.nanoTime());
            if (!view.update()) {
                return;
            }
            print(view);
        }
    }

    private static void print(LiveView view) {
        view.print();
        System.out.flush();
    }

    /**
     * Returns the time an interval after the last sample was due. Skips missed samples, such as while the process was
     * stopped.
     */
    private long following(long last) {
        long step = (long) (interval * TimeUnit.SECONDS.toNanos(1));
        return last + Math.max(1, (System.nanoTime() - last) / step + 1) * step;
    }
}
