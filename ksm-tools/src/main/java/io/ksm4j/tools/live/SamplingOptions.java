package io.ksm4j.tools.live;

import io.ksm4j.tools.output.ArgumentChecks;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** How often and how long something is shown: options that commands have in common. */
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
            description = "write this many samples as text, and end")
    private Optional<Long> count = Optional.empty();

    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    /**
     * Refuses what is no pace.
     *
     * @throws ParameterException if a number is out of its range
     */
    void check() {
        ArgumentChecks.require(
                spec, interval >= MIN_INTERVAL && interval <= MAX_INTERVAL, "--interval takes 0.1 to 86400 seconds");
        ArgumentChecks.require(spec, count.orElse(1L) >= 1, "--count takes 1 or more");
    }

    void setCount(long samples) {
        count = Optional.of(samples);
    }

    /** Seconds between samples. */
    double interval() {
        return interval;
    }

    /**
     * Shows it until the user presses q, all samples are taken, or there is nothing left to show. Takes the screen if there is one, no
     * count was given, and text was not asked for.
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

    /** An interval after the last sample was due; what was missed, as while the process was stopped, is not made up for. */
    private long following(long last) {
        long step = (long) (interval * TimeUnit.SECONDS.toNanos(1));
        return last + Math.max(1, (System.nanoTime() - last) / step + 1) * step;
    }
}
