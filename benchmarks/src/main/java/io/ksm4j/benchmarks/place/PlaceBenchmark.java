// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.place;

import io.ksm4j.benchmarks.ChildProcess;
import io.ksm4j.benchmarks.Disturbance;
import io.ksm4j.benchmarks.DisturbanceMeter;
import io.ksm4j.benchmarks.GeneratedSection;
import io.ksm4j.benchmarks.InstalledCommand;
import io.ksm4j.benchmarks.Target;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * Measures how long the installed command {@code ksm place} takes for a simulated fleet, and compares what it proposes
 * with other distributions. Writes the table of {@code docs/placement.md}.
 */
final class PlaceBenchmark {

    private static final double GIB = 1 << 30;

    private final InstalledCommand ksm;

    PlaceBenchmark(Path tools) throws IOException {
        ksm = InstalledCommand.of(tools);
    }

    /** Measures and updates the page, unless the run was disturbed. The argument is the root of the repository. */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        PlaceBenchmark benchmark = new PlaceBenchmark(root.resolve("ksm-tools"));
        DisturbanceMeter meter = DisturbanceMeter.start();
        String text = benchmark.measure(new SimulatedFleet(100, 4000, 1), 500);
        Disturbance disturbance = meter.stop();
        GeneratedSection section = new GeneratedSection(Path.of("docs", "placement.md"), "place");
        System.exit(section.publish(root, disturbance, text));
    }

    String measure(SimulatedFleet fleet, int hosts) throws IOException, InterruptedException {
        Path directory = Files.createTempDirectory("ksm-place");
        try {
            fleet.write(directory);
            long bytes = 0;
            for (int process = 0; process < fleet.processes(); process++) {
                bytes += Files.size(directory.resolve(process + ".sketch"));
            }
            long start = System.nanoTime();
            String json = place(directory, fleet.processes(), hosts);
            double seconds = (System.nanoTime() - start) / 1e9;
            return report(fleet, hosts, bytes, seconds, json);
        } finally {
            for (int process = 0; process < fleet.processes(); process++) {
                Files.deleteIfExists(directory.resolve(process + ".sketch"));
            }
            Files.delete(directory);
        }
    }

    private String place(Path directory, int processes, int hosts) throws IOException, InterruptedException {
        List<String> arguments = new ArrayList<>(List.of("place", "--json", "--hosts", Integer.toString(hosts)));
        for (int process = 0; process < processes; process++) {
            arguments.add(process + ".sketch");
        }
        ProcessBuilder builder = ksm.process(Path.of(System.getProperty("java.home")), arguments)
                .directory(directory.toFile())
                .redirectError(ProcessBuilder.Redirect.INHERIT);
        try (ChildProcess child = ChildProcess.start(builder)) {
            String output = new String(child.process().getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int status = child.process().waitFor();
            if (status != 0) {
                throw new IllegalStateException(child + " ended with " + status);
            }
            return output;
        }
    }

    private static String report(SimulatedFleet fleet, int hosts, long bytes, double seconds, String json) {
        double estimated = InstalledCommand.number(json, "acrossBytes") / GIB;
        double actual = shared(fleet, proposed(json));
        double byService = shared(fleet, byService(fleet, hosts));
        double evenly = shared(fleet, evenly(fleet, hosts));
        return String.format(
                Locale.ROOT,
                """
                `ksm place` for %d processes and %d hosts, with %.1f GiB of sketches that the page cache holds:

                | Distribution | GiB shared across processes |
                | --- | --- |
                | proposed, as estimated | %.0f |
                | proposed, as it is | %.0f |
                | service by service | %.0f |
                | one process after the other, as they come | %.0f |

                    %s
                    %s
                    %s
                """,
                fleet.processes(),
                hosts,
                bytes / GIB,
                estimated,
                actual,
                byService,
                evenly,
                Target.maximum("place-seconds", seconds, 60),
                Target.maximum("place-error", Math.abs(estimated / actual - 1), 0.05),
                Target.minimum("place-shared-relative-to-service-by-service", actual / byService, 1));
    }

    /** Returns the processes of each proposed host. */
    private static List<int[]> proposed(String json) {
        String hosts = json.substring(json.indexOf("\"hosts\": ["), json.indexOf("\"kubernetes\": ["));
        return Pattern.compile("\"processes\": \\[(.*?)]")
                .matcher(hosts)
                .results()
                .map(host -> Pattern.compile("\"process\": \"(\\d+)\"")
                        .matcher(host.group(1))
                        .results()
                        .map((MatchResult process) -> process.group(1))
                        .mapToInt(Integer::parseInt)
                        .toArray())
                .toList();
    }

    private static List<int[]> byService(SimulatedFleet fleet, int hosts) {
        int[] ordered = IntStream.range(0, fleet.processes())
                .boxed()
                .sorted(Comparator.comparingInt(fleet::service))
                .mapToInt(Integer::intValue)
                .toArray();
        return IntStream.range(0, hosts)
                .mapToObj(host ->
                        Arrays.copyOfRange(ordered, ordered.length * host / hosts, ordered.length * (host + 1) / hosts))
                .toList();
    }

    private static List<int[]> evenly(SimulatedFleet fleet, int hosts) {
        return IntStream.range(0, hosts)
                .mapToObj(host -> IntStream.range(0, fleet.processes())
                        .filter(process -> process % hosts == host)
                        .toArray())
                .toList();
    }

    private static double shared(SimulatedFleet fleet, List<int[]> hosts) {
        return hosts.stream().mapToDouble(fleet::shared).sum() * SimulatedFleet.PAGE / GIB;
    }
}
