// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import io.ksm4j.benchmarks.Disturbance;
import io.ksm4j.benchmarks.DisturbanceMeter;
import io.ksm4j.benchmarks.GeneratedSection;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.junit.RunningKsmd;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Measures the cache server, and writes the tables of {@code docs/cache-server.md}. */
final class CacheBenchmark {

    /** The kernel's defaults. The cache server changes these settings itself. */
    static final KsmSettings DEFAULTS = KsmSettings.EMPTY
            .with(KsmSetting.RUN, 0)
            .with(KsmSetting.PAGES_TO_SCAN, 100)
            .with(KsmSetting.SLEEP_MILLISECS, 20);

    private static final List<String> PARTS = List.of("throughput", "memory", "pauses");

    private CacheBenchmark() {}

    /**
     * Measures one part or all of them, and updates the page unless the run of a part was disturbed. The arguments are
     * the root of the repository and possibly a part.
     */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        String missing = missing();
        if (!missing.isEmpty()) {
            System.err.println("benchmarks/run cache: " + missing);
            System.exit(1);
        }
        Path directory = Files.createTempDirectory("ksm4j-cache");
        RunningKsmd lock = RunningKsmd.start();
        int status = 0;
        try {
            for (String part : args.length == 1 ? PARTS : List.of(args[1])) {
                System.out.println("Measuring " + part);
                DisturbanceMeter meter = DisturbanceMeter.start();
                String text = measure(part, directory).text();
                Disturbance disturbance = meter.stop();
                GeneratedSection section = new GeneratedSection(Path.of("docs", "cache-server.md"), "cache " + part);
                status = Math.max(status, section.publish(root, disturbance, text));
            }
        } finally {
            lock.close();
            delete(directory);
        }
        System.exit(status);
    }

    private static ReportPart measure(String part, Path directory) throws Exception {
        return switch (part) {
            case "throughput" ->
                new ThroughputBenchmark(directory, 0.7)
                        .measure(CacheCase.ALL, 5)
                        .report();
            case "memory" -> new MemoryBenchmark(directory, 1, 3, 6000).measure();
            default -> new PauseBenchmark(directory, 1).measure();
        };
    }

    /** Returns which program must be installed first, or an empty string. */
    static String missing() {
        for (String program : List.of("redis-server", "redis-benchmark")) {
            if (Stream.of(System.getenv("PATH").split(File.pathSeparator, -1))
                    .noneMatch(entry -> Files.isExecutable(Path.of(entry, program)))) {
                return program + " is not installed: apt-get install redis-server redis-tools";
            }
        }
        return "";
    }

    private static void delete(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        Files.delete(directory);
    }
}
