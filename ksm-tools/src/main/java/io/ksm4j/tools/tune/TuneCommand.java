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

/** {@code ksm tune}: drives {@code ksmd} until it is told to stop. */
@Command(
        name = "tune",
        mixinStandardHelpOptions = true,
        description = {
            "Drives ksmd by a policy until it is terminated (Ctrl-C, SIGTERM), and then puts its settings back.",
            "A line says what is done and why, whenever that changes."
        },
        sortOptions = false,
        footer = "%nNeeds root. Exits with 128 and the signal's number, or with 1 if it cannot go on.")
public final class TuneCommand implements Callable<Integer> {

    /** Names for the command line; the man page and the completion have them from here. */
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
                "converge: merge as fast as --cpu allows while that pays, then only look for news (the default)",
                "pressure: the same, while memory is short",
                "ksmtuned: the rules of that script",
                "advisor: let the kernel choose, for a full scan in --scan-time"
            })
    private Policy policy = Policy.converge;

    @Option(
            names = "--cpu",
            paramLabel = "PERCENT",
            description =
                    "how much of one core ksmd may take, 1 to 100 (default: ${DEFAULT-VALUE}); ksmtuned knows no such bound")
    private int cpu = 50;

    @Option(
            names = "--scan-time",
            paramLabel = "SECONDS",
            description = "how long a full scan should take under the advisor (default: ${DEFAULT-VALUE})")
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
                    "serve the machine's numbers to Prometheus, at /metrics; on the loopback address unless a host is given")
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
                // A signal ends it, but if something fails.
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
        requireMeant("--set", Set.of(Policy.ksmtuned));
        requireMeant("--scan-time", Set.of(Policy.advisor));
        requireMeant("--cpu", EnumSet.complementOf(EnumSet.of(Policy.ksmtuned)));
        ArgumentChecks.require(spec, cpu >= 1 && cpu <= 100, "--cpu is from 1 to 100 per cent");
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

    /** Nobody shall believe in an option that does nothing. */
    private void requireMeant(String option, Set<Policy> policies) {
        boolean isGiven = spec.commandLine().getParseResult().hasMatchedOption(option);
        String names = policies.stream().map(Policy::name).sorted().collect(Collectors.joining(" or "));
        ArgumentChecks.require(spec, !isGiven || policies.contains(policy), option + " is for --policy " + names);
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
            // As with a number that is no port.
        }
        throw new ParameterException(
                spec.commandLine(), "--metrics takes a port from 0 to 65535, or HOST:PORT: " + address);
    }

    /** Prints decisions, in the tuner's thread. */
    private static final class Listener implements KsmTuner.Listener {

        private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("HH:mm:ss", Locale.ROOT);

        private static final long MIN_NANOS_BETWEEN_LINES = 1_000_000_000;

        /** Completed when the command is to end: with what failed, or with nothing if that has been said. */
        private final CompletableFuture<Optional<RuntimeException>> end = new CompletableFuture<>();

        private String lastKind = "";
        private long lastTime = System.nanoTime() - MIN_NANOS_BETWEEN_LINES;

        /** Numbers change with each decision, and what is done does not: what comes next is said a second later at the soonest. */
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

        /** The logger has said why. */
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
