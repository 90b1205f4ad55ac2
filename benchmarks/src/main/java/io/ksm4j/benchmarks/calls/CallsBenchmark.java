// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.calls;

import io.ksm4j.benchmarks.CProgram;
import io.ksm4j.benchmarks.Median;
import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.PerformancePart;
import io.ksm4j.benchmarks.RunLength;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.RunningKsmd;
import java.util.ArrayList;
import java.util.DoubleSummaryStatistics;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/**
 * Compares system calls through ksm4j and through other libraries with the same calls in C. The C program runs right
 * before and right after each forked JVM, and a ratio compares only these neighbours.
 */
public final class CallsBenchmark implements PerformancePart {

    /** A measured method of {@link JavaCalls} and the operation of {@code calls.c} that it is compared with. */
    private enum Operation {
        AGAIN("again", "again", "mark a range that is already marked", ""),
        AGAIN_AMONG_OTHERS("again", "again", "the same, while all backends are in use", JavaCalls.MIXED),
        AGAIN_BY_C1("again", "again", "the same, compiled by C1 alone", "-XX:TieredStopAtLevel=1"),
        AGAIN_INLINED_LITTLE(
                "again",
                "again",
                "the same, with smaller limits for inlining",
                "-XX:MaxInlineSize=10 -XX:FreqInlineSize=100 -XX:InlineSmallCode=800"),
        AGAIN_BY_TWO("againByTwo", "againByTwo", "the same, by two threads", ""),
        AGAIN_VIRTUALLY("againVirtually", "again", "the same, by 10,000 virtual threads once each", ""),
        CHANGE("change", "change", "mark, then unmark", ""),
        LOOP("loop", "many", "mark 512 ranges, then unmark them, one by one", ""),
        BATCH("batch", "many", "the same, as a list", ""),
        ALLOCATE("allocate", "allocate", "allocate, touch, close", ""),
        ALLOCATE_UNGUARDED("allocateUnguarded", "allocate", "the same, without guard pages", "");

        final String java;
        final String c;
        final String description;

        /** Separated by spaces. */
        final String jvmArguments;

        Operation(String java, String c, String description, String jvmArguments) {
            this.java = java;
            this.c = c;
            this.description = description;
            this.jvmArguments = jvmArguments;
        }

        List<Binding> bindings() {
            return switch (this) {
                case AGAIN_BY_C1, AGAIN_INLINED_LITTLE ->
                    List.of(Binding.FFM_SPI, Binding.FFM_API, Binding.FFM_BY_HAND_NO_ERRNO);
                case AGAIN_AMONG_OTHERS, AGAIN_BY_TWO, AGAIN_VIRTUALLY, LOOP, BATCH -> Binding.APIS;
                case ALLOCATE, ALLOCATE_UNGUARDED -> Binding.ALLOCATIONS;
                default -> Binding.CALLS;
            };
        }

        int ranges() {
            return switch (this) {
                case LOOP, BATCH -> JavaCalls.RANGES;
                case AGAIN_VIRTUALLY -> JavaCalls.THREADS;
                default -> 1;
            };
        }
    }

    /** The result of one forked JVM, and of C before and after it, in nanoseconds per range. */
    private record Sample(double java, double c, double bytes) {

        double ratio() {
            return java / c;
        }
    }

    /** The operations that are compared with other bindings. The others are measured in every second round. */
    private static final Set<Operation> EACH_ROUND = EnumSet.of(Operation.AGAIN, Operation.CHANGE);

    private final Map<Operation, Map<Binding, List<Sample>>> samples = new EnumMap<>(Operation.class);

    @Override
    public PartReport measure(RunLength length) throws Exception {
        int rounds = length.of(1, 5, 9);
        try (RunningKsmd ksmd = RunningKsmd.start();
                CProgram c = CProgram.start("calls.c")) {
            // It would take a core and work on the measured pages.
            ksmd.set(KsmSetting.RUN, 0);
            for (int round = 1; round <= rounds; round++) {
                for (Operation operation : Operation.values()) {
                    // Starting a JVM takes time.
                    if (!EACH_ROUND.contains(operation) && round % 2 == 0) {
                        continue;
                    }
                    for (Binding binding : operation.bindings()) {
                        Sample sample = sample(c, length, operation, binding);
                        samples.computeIfAbsent(operation, o -> new EnumMap<>(Binding.class))
                                .computeIfAbsent(binding, b -> new ArrayList<>())
                                .add(sample);
                        if (length != RunLength.INSTANT) {
                            System.out.printf(
                                    Locale.ROOT,
                                    "round %d of %d, %s, %s: C %.1f ns, Java %.1f ns, ratio %.3f, %.0f bytes%n",
                                    round,
                                    rounds,
                                    operation,
                                    binding,
                                    sample.c(),
                                    sample.java(),
                                    sample.ratio(),
                                    sample.bytes());
                        }
                    }
                }
            }
        }
        return new PartReport(text(), Map.of(), targets());
    }

    private static Sample sample(CProgram c, RunLength length, Operation operation, Binding binding) throws Exception {
        double before = c(c, length, operation);
        RunResult run = java(length, operation, binding);
        double after = c(c, length, operation);
        return new Sample(
                run.getPrimaryResult().getStatistics().getPercentile(50) / operation.ranges(),
                (before + after) / 2 / (operation == Operation.AGAIN_VIRTUALLY ? 1 : operation.ranges()),
                run.getSecondaryResults().get(AllocatedBytes.LABEL).getScore() / operation.ranges());
    }

    /** Returns the nanoseconds per call of the operation: the median of several batches. */
    private static double c(CProgram c, RunLength length, Operation operation) throws Exception {
        long nanos = length.of(100_000L, 5_000_000L, 20_000_000L);
        // The first run warms the caches and determines the size of a batch.
        long count = Math.max(1, nanos / Math.max(1, c.run(operation.c, 10) / 10));
        double[] batches = new double[length.of(1, 9, 21)];
        for (int i = 0; i < batches.length; i++) {
            batches[i] = 1.0 * c.run(operation.c, count) / count;
        }
        return Median.of(batches);
    }

    private static RunResult java(RunLength length, Operation operation, Binding binding) throws RunnerException {
        ChainedOptionsBuilder options = new OptionsBuilder()
                .include("^" + JavaCalls.class.getName().replace(".", "\\.") + "\\." + operation.java + "$")
                .param("binding", binding.name())
                .addProfiler(AllocatedBytes.class)
                .shouldFailOnError(true)
                .verbosity(VerboseMode.SILENT)
                // INSTANT runs in this JVM, so its times are meaningless.
                .forks(length.of(0, 1, 1))
                // JMH itself needs this.
                .jvmArgsAppend("--sun-misc-unsafe-memory-access=allow")
                .jvmArgsAppend(operation.jvmArguments.isEmpty() ? new String[0] : operation.jvmArguments.split(" "))
                .warmupIterations(length.of(0, 8, 10))
                .warmupTime(TimeValue.milliseconds(length.of(1, 100, 200)))
                .measurementIterations(length.of(1, 9, 21))
                .measurementTime(TimeValue.milliseconds(length.of(5, 40, 100)));
        return new Runner(options.build()).runSingle();
    }

    private double ratio(Operation operation, Binding binding) {
        return median(operation, binding, Sample::ratio);
    }

    /** Returns how long one binding takes relative to another, comparing their ratios to C in the same round. */
    private double ratio(Operation operation, Binding ours, Binding other) {
        List<Sample> one = samples.get(operation).get(ours);
        List<Sample> two = samples.get(operation).get(other);
        return Median.of(IntStream.range(0, one.size())
                .mapToDouble(round -> one.get(round).ratio() / two.get(round).ratio())
                .toArray());
    }

    private double median(Operation operation, Binding binding, ToDoubleFunction<Sample> of) {
        return Median.of(
                samples.get(operation).get(binding).stream().mapToDouble(of).toArray());
    }

    private String text() {
        StringBuilder text = new StringBuilder();
        for (Operation operation : Operation.values()) {
            text.append("\n| ")
                    .append(operation.description)
                    .append(" | C, ns | Java, ns | ratio | min, max | bytes allocated |\n");
            text.append("| --- | --- | --- | --- | --- | --- |\n");
            for (Binding binding : operation.bindings()) {
                DoubleSummaryStatistics ratios = samples.get(operation).get(binding).stream()
                        .mapToDouble(Sample::ratio)
                        .summaryStatistics();
                text.append(String.format(
                        Locale.ROOT,
                        "| %s: %s | %.0f | %.0f | %.2f | %.2f, %.2f | %.0f |%n",
                        binding.technology(),
                        binding.variant(),
                        median(operation, binding, Sample::c),
                        median(operation, binding, Sample::java),
                        ratio(operation, binding),
                        ratios.getMin(),
                        ratios.getMax(),
                        median(operation, binding, Sample::bytes)));
            }
        }
        return text.append(String.format(Locale.ROOT, """

                        A range is 64 KiB, and each of its pages was written once. Times and bytes are per range and
                        thread. Each row has the times of C from right before and after its own. Numbers are medians
                        over rounds, each in a new JVM: %d rounds for the calls that are compared with other bindings,
                        and %d for everything else. "The SPI" allocates without the registry: the calls of C, and the
                        arena of the views, which the JDK closes by a handshake with all threads.
                        """, rounds(Operation.AGAIN), rounds(Operation.LOOP)))
                .toString();
    }

    private int rounds(Operation operation) {
        return samples.get(operation).get(Binding.FFM_API).size();
    }

    private List<Target> targets() {
        List<Target> targets = new ArrayList<>();
        for (Operation operation : EACH_ROUND) {
            targets.add(toC(operation, Binding.FFM_SPI, 1.03));
            targets.add(toC(operation, Binding.FFM_API, 1.05));
            targets.add(toC(operation, Binding.JNR_SPI, 1.10));
            targets.add(toC(operation, Binding.JNR_API, 1.2));
            targets.add(toC(operation, Binding.JNA_SPI, 1.4));
            targets.add(toC(operation, Binding.JNA_API, 1.6));
        }
        for (Operation operation :
                List.of(Operation.AGAIN_AMONG_OTHERS, Operation.AGAIN_BY_C1, Operation.AGAIN_INLINED_LITTLE)) {
            targets.add(toC(operation, Binding.FFM_API, 1.05));
        }
        targets.add(Target.maximum(
                "calls-batch-ffm-api-to-loop",
                ratio(Operation.BATCH, Binding.FFM_API) / ratio(Operation.LOOP, Binding.FFM_API),
                0.8));
        targets.add(Target.maximum(
                "calls-bytes-batch-ffm-api", Math.rint(median(Operation.BATCH, Binding.FFM_API, Sample::bytes)), 64));
        targets.add(Target.maximum(
                "calls-again-virtually-ffm-api-to-jna",
                ratio(Operation.AGAIN_VIRTUALLY, Binding.FFM_API, Binding.JNA_API),
                0.9));
        for (Binding binding : List.of(Binding.FFM_API, Binding.FFM_ARENA, Binding.JNR_API, Binding.JNA_API)) {
            targets.add(toC(Operation.ALLOCATE, binding, 1.3));
        }
        for (Operation operation : EACH_ROUND) {
            targets.add(toPeer(operation, Binding.FFM_SPI, Binding.FFM_BY_HAND));
            targets.add(toPeer(operation, Binding.FFM_API, Binding.FFM_BY_HAND));
            targets.add(toPeer(operation, Binding.FFM_SPI, Binding.FFM_BY_HAND_NO_ERRNO));
            targets.add(toPeer(operation, Binding.JNR_SPI, Binding.JNR_OPENHFT));
            targets.add(toPeer(operation, Binding.JNR_API, Binding.JNR_OPENHFT));
            targets.add(toPeer(operation, Binding.JNA_SPI, Binding.JNA_INTERFACE));
            targets.add(toPeer(operation, Binding.JNA_API, Binding.JNA_INTERFACE));
        }
        for (Binding binding : List.of(Binding.FFM_SPI, Binding.FFM_API)) {
            double bytes = Stream.of(Operation.values())
                    .filter(operation -> operation.java.equals("again") || operation == Operation.CHANGE)
                    .filter(operation -> operation.bindings().contains(binding))
                    .mapToDouble(operation -> median(operation, binding, Sample::bytes))
                    .max()
                    .orElseThrow();
            // A few hundred bytes of JMH's own objects are spread over all calls.
            targets.add(Target.maximum("calls-bytes-" + name(binding), Math.rint(bytes), 0));
        }
        return targets;
    }

    private Target toC(Operation operation, Binding binding, double goal) {
        return Target.maximum(
                "calls-" + name(operation) + "-" + name(binding) + "-to-c", ratio(operation, binding), goal);
    }

    private Target toPeer(Operation operation, Binding ours, Binding peer) {
        return Target.maximum(
                "calls-" + name(operation) + "-" + name(ours) + "-to-"
                        + name(peer).substring(ours.technology().length() + 1),
                ratio(operation, ours, peer),
                1);
    }

    private static String name(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
