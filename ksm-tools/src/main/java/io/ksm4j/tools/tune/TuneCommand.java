// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.tune;

import io.ksm4j.control.Decision;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmTuner;
import io.ksm4j.control.Observation;
import io.ksm4j.control.TuningPolicy;
import io.ksm4j.tools.output.ArgumentChecks;
import io.ksm4j.tools.output.ClosedPipeException;
import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.output.ExitStatus;
import java.time.Duration;
import java.time.LocalTime;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code ksm tune}: controls {@code ksmd} until it is terminated. */
@Command(
        name = "tune",
        mixinStandardHelpOptions = true,
        description = {
            "Controls ksmd by a policy until it is terminated (Ctrl-C, SIGTERM), and then restores its settings.",
            "Prints a line with each change and the reason for it."
        },
        sortOptions = false,
        footer = "%nNeeds root. Exits with 128 plus the signal's number, or with 1 if it cannot continue.")
public final class TuneCommand implements Callable<Integer> {

    /** Names on the command line, which the manual page and the completions take from here. */
    enum Policy {
        converge,
        pressure,
        ksmtuned,
        advisor
    }

    @Option(
            names = "--policy",
            paramLabel = "POLICY",
            description = {
                "converge: merge as fast as --cpu allows while that pays, then only watch for new pages (default)",
                "pressure: the same, but only while memory is short",
                "ksmtuned: the rules of the script ksmtuned",
                "advisor: let the kernel choose, for a full scan in --scan-time"
            })
    private Policy policy = Policy.converge;

    @Option(
            names = "--cpu",
            paramLabel = "PERCENT",
            description = "maximum CPU time of ksmd, 1 to 100 percent of one core (default: ${DEFAULT-VALUE}); not for"
                    + " ksmtuned")
    private int cpu = 50;

    @Option(
            names = "--scan-time",
            paramLabel = "SECONDS",
            description = "duration of a full scan under the advisor (default: ${DEFAULT-VALUE})")
    private long scanTime = 200;

    @Option(
            names = "--set",
            paramLabel = "NAME=NUMBER",
            description = "a parameter of ksmtuned, as in /etc/ksmtuned.conf; may be repeated")
    private Map<String, Long> parameters = new TreeMap<>();

    @Option(
            names = "--metrics",
            paramLabel = "[HOST:]PORT",
            description =
                    "serve the machine's counters to Prometheus at /metrics; on the loopback address unless HOST is"
                            + " given")
    private Optional<String> metrics = Optional.empty();

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        TuningPolicy chosen = policy();
        ConsoleLogHandler.replaceHandlersOf("io.ksm4j");
        Listener listener = new Listener();
        try (MetricsServer server = metrics.isPresent() ? server(metrics.get()) : null) {
            KsmTuner tuner = KsmTuner.start(KsmDaemon.system(), chosen, listener);
            try {
                if (server != null) {
                    listener.print("metrics at " + server.uri());
                }
                // Only a failure completes it; a signal ends the process.
                Optional<RuntimeException> failure = listener.end.join();
                if (failure.isPresent()) {
                    throw failure.get();
                }
                return ExitStatus.FAILURE;
            } finally {
                tuner.close();
            }
        }
    }

    private TuningPolicy policy() {
        requireSupported("--set", Set.of(Policy.ksmtuned));
        requireSupported("--scan-time", Set.of(Policy.advisor));
        requireSupported("--cpu", EnumSet.complementOf(EnumSet.of(Policy.ksmtuned)));
        ArgumentChecks.require(spec, cpu >= 1 && cpu <= 100, "invalid --cpu " + cpu + ": must be 1 to 100 percent");
        double share = cpu / 100.0;
        try {
            return switch (policy) {
                case converge -> TuningPolicy.converge(share);
                case pressure -> TuningPolicy.pressure(share);
                case ksmtuned -> TuningPolicy.ksmtuned(parameters);
                case advisor -> TuningPolicy.advisor(Duration.ofSeconds(scanTime), share);
            };
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }

    /** Rejects options that the chosen policy ignores. */
    private void requireSupported(String option, Set<Policy> policies) {
        boolean isGiven = spec.commandLine().getParseResult().hasMatchedOption(option);
        String names = policies.stream().map(Policy::name).sorted().collect(Collectors.joining(" or "));
        ArgumentChecks.require(spec, !isGiven || policies.contains(policy), option + " needs --policy " + names);
    }

    private MetricsServer server(String address) {
        int colon = address.lastIndexOf(':');
        String host = colon < 0 ? "" : address.substring(0, colon);
        try {
            int port = Integer.parseInt(address.substring(colon + 1));
            if (port >= 0 && port <= 0xffff) {
                return MetricsServer.start(host, port);
            }
        } catch (NumberFormatException e) {
            // The same as for a number out of range.
        }
        throw new ParameterException(
                spec.commandLine(), "invalid --metrics " + address + ": must be a port from 0 to 65535, or HOST:PORT");
    }

    /** Prints decisions in the tuner's thread. */
    private static final class Listener implements KsmTuner.Listener {

        private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("HH:mm:ss", Locale.ROOT);

        private static final long MIN_NANOS_BETWEEN_LINES = 1_000_000_000;

        /** Completed to end the command: with the failure, or empty if the failure has been logged. */
        private final CompletableFuture<Optional<RuntimeException>> end = new CompletableFuture<>();

        private String lastKind = "";
        private long lastTime = System.nanoTime() - MIN_NANOS_BETWEEN_LINES;

        /** Numbers change with each decision. Prints only decisions of another kind, and at most one line a second. */
        @Override
        public void decided(Observation observation, Decision decision) {
            String kind = decision.reason().replaceAll("[0-9.]+", "");
            long now = System.nanoTime();
            if (!kind.equals(lastKind) && now - lastTime >= MIN_NANOS_BETWEEN_LINES) {
                lastKind = kind;
                lastTime = now;
                print(decision.settings() + ": " + decision.reason());
            }
        }

        /** The library has logged the cause. */
        @Override
        public void stopped(Throwable cause) {
            end.complete(Optional.empty());
        }

        private void print(String line) {
            try {
                System.out.println(TIME.format(LocalTime.now(ZoneId.systemDefault())) + " " + line);
                System.out.flush();
            } catch (ClosedPipeException | CommandFailedException e) {
                end.complete(Optional.of(e));
            }
        }
    }
}
