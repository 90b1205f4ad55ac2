// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

import static io.ksm4j.samples.inference.MemoryRun.Merging.LIMIT_REACHED;
import static io.ksm4j.samples.inference.MemoryRun.Merging.NOT_AWAITED;
import static io.ksm4j.samples.inference.MemoryRun.Merging.SETTLED;
import static io.ksm4j.samples.inference.MemoryRun.Stage.HEAP_FILLED;
import static io.ksm4j.samples.inference.MemoryRun.Stage.MODEL_LOADED;
import static io.ksm4j.samples.inference.Variant.NATIVE_ONLY;
import static io.ksm4j.samples.inference.Variant.WHOLE_PROCESS;
import static io.ksm4j.samples.inference.Variant.WITHOUT;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.samples.inference.MemoryRun.Merging;
import io.ksm4j.samples.inference.MemoryRun.Stage;
import io.ksm4j.samples.inference.MemoryRun.Step;
import io.ksm4j.samples.measurement.MemorySampler.Sample;
import io.ksm4j.samples.measurement.ProcessMemory;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class InferenceReportTest {

    private static final MemoryRun WITHOUT_RUN =
            run(WITHOUT, step(MODEL_LOADED, NOT_AWAITED, 160, 0), step(HEAP_FILLED, NOT_AWAITED, 420, 0));
    private static final MemoryRun WHOLE_RUN = run(
            WHOLE_PROCESS,
            step(MODEL_LOADED, NOT_AWAITED, 165, 0),
            step(MODEL_LOADED, SETTLED, 70, 40_000),
            step(HEAP_FILLED, NOT_AWAITED, 330, 40_000),
            step(HEAP_FILLED, LIMIT_REACHED, 320, 100_000));
    private static final MemoryRun NATIVE_RUN = run(
            NATIVE_ONLY,
            step(MODEL_LOADED, NOT_AWAITED, 165, 0),
            step(MODEL_LOADED, SETTLED, 75, 35_000),
            step(HEAP_FILLED, NOT_AWAITED, 335, 35_000),
            step(HEAP_FILLED, SETTLED, 322, 36_000));

    private final InferenceReport report = new InferenceReport();

    @BeforeEach
    void addRuns() {
        report.add(WITHOUT_RUN);
        report.add(WHOLE_RUN);
        report.add(NATIVE_RUN);
    }

    private static MemoryRun run(Variant variant, Step... steps) {
        return new MemoryRun(
                variant, List.of(steps), List.of(new Sample(1, memory(10, 0)), new Sample(2, memory(160, 0))));
    }

    /** A step of two JVMs with so many mebibytes of anonymous memory, and records, each. */
    private static Step step(Stage stage, Merging merging, int mebibytes, int records) {
        return new Step(
                stage,
                merging,
                1.5,
                List.of(memory(mebibytes, records), memory(mebibytes, records)),
                Duration.ofMillis(2300));
    }

    private static ProcessMemory memory(int mebibytes, int records) {
        return new ProcessMemory(400L << 20, (long) mebibytes << 20, 1 << 20, records);
    }

    private static LatencyRun latencies(long p99WithoutMicros, long p99NativeMicros) {
        Map<Variant, Latencies> latencies = Map.of(
                WITHOUT, new Latencies(List.of(p99WithoutMicros * 1000)),
                WHOLE_PROCESS, new Latencies(List.of(10_000_000L)),
                NATIVE_ONLY, new Latencies(List.of(p99NativeMicros * 1000)));
        return new LatencyRun(latencies, latencies, true);
    }

    @Test
    void theLastLineComparesWhatIsSavedInTheEnd() {
        assertThat(report.lastLine())
                .isEqualTo("native only saved 196 MiB with 72000 records,"
                        + " the whole process saved 200 MiB with 200000 records");
    }

    @Test
    void numbersArePlainInEveryLocale() {
        Locale before = Locale.getDefault();
        try {
            Locale.setDefault(Locale.forLanguageTag("ar-EG"));

            assertThat(report.lastLine()).contains(" 72000 records");
        } finally {
            Locale.setDefault(before);
        }
    }

    @Test
    void theTableHasTheMemoryAfterEachStep() {
        assertThat(report.add(WHOLE_RUN).lines().map(line -> line.replaceAll(" +", " ")))
                .containsExactly(
                        "",
                        "whole process",
                        " seconds MiB a JVM MiB in all MiB saved records ksmd, s",
                        "model loaded 1.5 165.0 330.0 -10.0 0 2.3",
                        "merging settled 1.5 70.0 140.0 180.0 80000 2.3",
                        "heap filled 1.5 330.0 660.0 180.0 80000 2.3",
                        "limit reached 1.5 320.0 640.0 200.0 200000 2.3");
    }

    @Test
    void targetsAreMet() {
        assertThat(report.targets(latencies(10_000, 10_200)).lines())
                .containsExactly(
                        "target inference.native-saving-to-whole-process measured 0.9800 goal 0.95 met",
                        "target inference.native-records-to-whole-process measured 0.3600 goal 0.4 met",
                        "target inference.native-mebibytes-each measured 75.00 goal 80.0 met",
                        "target inference.native-p99-to-without measured 1.020 goal 1.02 met");
    }

    @Test
    void targetsAreMissed() {
        report.add(run(
                NATIVE_ONLY,
                step(MODEL_LOADED, NOT_AWAITED, 165, 0),
                step(MODEL_LOADED, SETTLED, 81, 35_000),
                step(HEAP_FILLED, SETTLED, 326, 41_000)));

        assertThat(report.targets(latencies(10_000, 10_300)).lines())
                .containsExactly(
                        "target inference.native-saving-to-whole-process measured 0.9400 goal 0.95 missed",
                        "target inference.native-records-to-whole-process measured 0.4100 goal 0.4 missed",
                        "target inference.native-mebibytes-each measured 81.00 goal 80.0 missed",
                        "target inference.native-p99-to-without measured 1.030 goal 1.02 missed");
    }

    @Test
    void latenciesAreComparedWithThoseWithoutMerging() {
        assertThat(InferenceReport.table(latencies(8_000, 8_160)).lines().map(line -> line.replaceAll(" +", " ")))
                .contains(
                        "without merging 8.00 8.00 8.00 8.00 1.000 1.000",
                        "whole process 10.00 10.00 10.00 10.00 1.250 1.250",
                        "native only 8.16 8.16 8.16 8.16 1.020 1.020");
    }

    @Test
    void thePlotHasALineForEachVariant() {
        assertThat(report.svg())
                .contains(">without merging<", ">whole process<", ">native only<")
                .contains(">seconds<", ">MiB of anonymous memory, all JVMs<");
    }
}
