package io.ksm4j.benchmarks;

import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.function.Supplier;

/** Measures one part of {@code docs/performance.md}. A JVM for each, so that none is compiled for another's calls. */
final class Performance {

    /** By the names that {@code benchmarks/run} knows. */
    static final Map<String, Supplier<Part>> PARTS = Map.of(
            "calls", Calls::new,
            "convergence", Convergence::new,
            "heap", Heap::new,
            "kernel", KernelFigures::new,
            "registry", Registry::new,
            "startup", Startup::new,
            "stats", Stats::new);

    private Performance() {}

    /** Measures and writes. The arguments are the root of the repository, {@code short} or {@code long}, and the part's name. */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        Length length = Length.valueOf(args[1].toUpperCase(Locale.ROOT));
        String name = args[2];
        PartReport report = PARTS.get(name).get().measure(length);
        // First, so that minutes of measuring are not lost where the page cannot be written.
        System.out.println(report.text());
        report.targets().forEach(System.out::println);
        new PerformancePage(root).write(name, "./benchmarks/run " + args[1] + " " + name, report);
    }
}
