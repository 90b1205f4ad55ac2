// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.performance;

import io.ksm4j.benchmarks.Disturbance;
import io.ksm4j.benchmarks.DisturbanceMeter;
import io.ksm4j.benchmarks.PartReport;
import io.ksm4j.benchmarks.PerformancePart;
import io.ksm4j.benchmarks.RunLength;
import io.ksm4j.benchmarks.calls.CallsBenchmark;
import io.ksm4j.benchmarks.heap.HeapBenchmark;
import io.ksm4j.benchmarks.kernel.KernelBenchmark;
import io.ksm4j.benchmarks.registry.RegistryBenchmark;
import io.ksm4j.benchmarks.startup.StartupBenchmark;
import io.ksm4j.benchmarks.stats.StatsBenchmark;
import io.ksm4j.benchmarks.tuning.ConvergenceBenchmark;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.function.Supplier;

/**
 * Measures one part of {@code docs/performance.md}. Each part has its own JVM, so that compiled code is not influenced
 * by the calls of other parts.
 */
final class Performance {

    /** The parts by their names in {@code benchmarks/run}. */
    static final Map<String, Supplier<PerformancePart>> PARTS = Map.of(
            "calls", CallsBenchmark::new,
            "convergence", ConvergenceBenchmark::new,
            "heap", HeapBenchmark::new,
            "kernel", KernelBenchmark::new,
            "registry", RegistryBenchmark::new,
            "startup", StartupBenchmark::new,
            "stats", StatsBenchmark::new);

    private Performance() {}

    /**
     * Measures a part and updates the page, unless the run was disturbed. The arguments are the root of the repository,
     * {@code short} or {@code long}, and the name of the part.
     */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        RunLength length = RunLength.valueOf(args[1].toUpperCase(Locale.ROOT));
        String name = args[2];
        DisturbanceMeter meter = DisturbanceMeter.start();
        PartReport report = PARTS.get(name).get().measure(length);
        System.exit(publish(root, name, "./benchmarks/run " + args[1] + " " + name, meter.stop(), report));
    }

    /** Prints the results, and updates the page unless the run was disturbed. Returns the exit status. */
    static int publish(Path root, String name, String measuredBy, Disturbance disturbance, PartReport report)
            throws IOException {
        // Printed first, so that the results are not lost if the page cannot be written.
        System.out.println(report.text());
        System.out.println(disturbance.describe());
        report.targets().forEach(System.out::println);
        String objection = disturbance.objection(PerformancePage.PAGE);
        if (!objection.isEmpty()) {
            System.err.println(measuredBy + ": " + objection);
            return 1;
        }
        new PerformancePage(root).write(name, measuredBy, disturbance, report);
        return 0;
    }
}
