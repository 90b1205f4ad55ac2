// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import io.ksm4j.tools.output.ArgumentChecks;
import io.ksm4j.tools.output.Console;
import io.ksm4j.tools.output.ExitStatus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ksm watch}: plots what merging saves for a process or for the machine over time. */
@Command(
        name = "watch",
        mixinStandardHelpOptions = true,
        description = {
            "Plots what merging saves over time, for a process until it ends, or for the whole machine.",
            "On a terminal, press q to quit. Otherwise, and with -n, prints samples as text."
        },
        footer = {
            "%nExits with 0 after q, after the last sample, and when the process ends; with 1 if there is no such",
            "process or no KSM, or if FILE cannot be written; and with 128 plus the signal's number."
        })
public final class WatchCommand implements Callable<Integer> {

    /** Exactly one of these. */
    private static final class Subject {

        @Parameters(paramLabel = "PID", description = "PID of the process")
        private Optional<Long> pid = Optional.empty();

        @Option(names = "--all", description = "the whole machine")
        private boolean all;
    }

    @ArgGroup(multiplicity = "1")
    private Subject subject = new Subject();

    @Mixin
    private SamplingOptions sampling = new SamplingOptions();

    @Option(
            names = "--svg",
            paramLabel = "FILE",
            description = "write the plot to this file at the end, also after a signal")
    private Optional<Path> svg = Optional.empty();

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException, InterruptedException {
        sampling.check();
        subject.pid.ifPresent(pid -> ArgumentChecks.requirePid(spec, pid));
        WatchView view = new WatchView(subject.all ? Optional.empty() : subject.pid, sampling.interval());
        if (svg.isEmpty()) {
            sampling.show(view, false);
        } else {
            showAndDraw(view, svg.get());
        }
        view.end().ifPresent(Console::say);
        return ExitStatus.SUCCESS;
    }

    /** Shows the view, and writes the plot at the end. A signal ends the process without returning here. */
    private void showAndDraw(WatchView view, Path file) throws IOException, InterruptedException {
        // Fail now rather than after an hour of watching.
        Files.newOutputStream(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)
                .close();
        Thread hook = new Thread(() -> {
            try {
                draw(view, file);
            } catch (IOException e) {
                Console.say("cannot write " + file + ": " + e.getMessage());
            }
        });
        Runtime.getRuntime().addShutdownHook(hook);
        try {
            sampling.show(view, false);
        } finally {
            if (remove(hook)) {
                draw(view, file);
            }
        }
    }

    /** {@return whether the hook was removed and will not run} */
    private static boolean remove(Thread hook) {
        try {
            return Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            return false; // A signal came first.
        }
    }

    private static void draw(WatchView view, Path file) throws IOException {
        Optional<String> drawn = view.svg();
        if (drawn.isPresent()) {
            Files.writeString(file, drawn.get());
        }
    }
}
