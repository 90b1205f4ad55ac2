// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.counts;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.testsupport.Needed;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Compares the system calls and the allocated bytes of hot operations with {@code counts.txt}. The counts do not depend
 * on the speed and the load of the machine, for three reasons: the JVM interprets, so that no compiler removes objects;
 * no page has the contents of another, so that none is merged; and the smallest count of several rounds is compared,
 * because what happens besides an operation can only add to a round.
 */
@Aside
@Tag("long")
class CountsTest {

    private static final Path FILE = Path.of("src/test/resources/io/ksm4j/it/counts/counts.txt");

    /** The version of Java, and the number of files in {@code /sys/kernel/mm/ksm}, of the committed counts. */
    private static final int JAVA = 25;

    private static final int FILES = 24;

    /** The JVM makes these calls when threads wait for each other. Their number differs from run to run. */
    private static final String NOT_TRACED = "futex,sched_yield,rt_sigreturn";

    private static final Pattern MARKER =
            Pattern.compile("(\\d+) .*\"" + CountedOperations.MARKER + "/(begin|end) ([^\"]+)\".*");
    private static final Pattern CALL = Pattern.compile("(\\d+) +(\\w+)\\(.*");
    private static final Pattern ALLOCATED = Pattern.compile("(?m)^allocated (.+): (\\d+)$");

    private static final String BYTES = "bytes";

    @Test
    @EnabledIfKsm
    void hotOperationsMakeTheSameSystemCallsAndAllocateNoMore(@TempDir Path directory) throws IOException {
        assumeThat(Runtime.version().feature()).as("version of Java").isEqualTo(JAVA);
        assumeThat(KsmStats.read().files()).as("files of the kernel").hasSize(FILES);
        Needed.program("strace", "strace");
        Path trace = directory.resolve("trace");
        ChildJvm child = ChildJvm.run(
                List.of("strace", "-D", "-f", "-qq", "-e", "trace=!" + NOT_TRACED, "-o", trace.toString()),
                CountedOperations.class,
                List.of("-Xint", "-Xmx64m"));
        child.assertEndedWell();
        // strace ends after the JVM.
        await().atMost(PATIENCE)
                .until(() -> Files.readString(trace, StandardCharsets.ISO_8859_1)
                        .contains("/" + CountedOperations.LAST + "\""));

        Map<String, Map<String, Long>> counted = calls(trace);
        addAllocated(child.output(), counted);
        assertThat(worseOrDifferent(counted, committed()))
                .as("If these counts are intended, replace the lines in integration-tests/%s.", FILE)
                .isEmpty();
    }

    /** Returns the system calls by operation and name. */
    private static Map<String, Map<String, Long>> calls(Path trace) throws IOException {
        Map<String, List<Map<String, Long>>> rounds = new TreeMap<>();
        String thread = "";
        Map<String, Long> round = new TreeMap<>();
        for (String line : Files.readAllLines(trace, StandardCharsets.ISO_8859_1)) {
            Matcher marker = MARKER.matcher(line);
            Matcher call = CALL.matcher(line);
            if (marker.matches() && marker.group(2).equals("begin")) {
                thread = marker.group(1);
                round = new TreeMap<>();
            } else if (marker.matches()) {
                thread = "";
                rounds.computeIfAbsent(marker.group(3), operation -> new ArrayList<>())
                        .add(round);
            } else if (call.matches() && call.group(1).equals(thread)) {
                round.merge(call.group(2), 1L, Long::sum);
            }
        }
        Map<String, Map<String, Long>> calls = new TreeMap<>();
        rounds.forEach((operation, all) -> calls.put(operation, smallest(all)));
        return calls;
    }

    private static Map<String, Long> smallest(List<Map<String, Long>> rounds) {
        Map<String, Long> smallest = new TreeMap<>(rounds.get(0));
        smallest.replaceAll((name, count) -> rounds.stream()
                .mapToLong(round -> round.getOrDefault(name, 0L))
                .min()
                .orElseThrow());
        smallest.values().removeIf(count -> count == 0);
        return smallest;
    }

    private static void addAllocated(String output, Map<String, Map<String, Long>> counts) {
        for (Matcher matcher = ALLOCATED.matcher(output); matcher.find(); ) {
            counts.computeIfAbsent(matcher.group(1), operation -> new TreeMap<>())
                    .merge(BYTES, Long.valueOf(matcher.group(2)), Math::min);
        }
    }

    private static Map<String, Map<String, Long>> committed() throws IOException {
        Map<String, Map<String, Long>> committed = new TreeMap<>();
        for (String line : Files.readAllLines(FILE)) {
            if (!line.isEmpty() && !line.startsWith("#")) {
                List<String> parts = List.of(line.split(": ", 2));
                Map<String, Long> counts = new TreeMap<>();
                for (String count : parts.get(1).split(", ", -1)) {
                    List<String> words = List.of(count.split(" ", 2));
                    counts.put(words.get(0), Long.valueOf(words.get(1)));
                }
                committed.put(parts.get(0), counts);
            }
        }
        return committed;
    }

    /** Returns lines as in the file, each followed by the committed counts. */
    private static List<String> worseOrDifferent(
            Map<String, Map<String, Long>> counted, Map<String, Map<String, Long>> committed) {
        Set<String> operations = new TreeSet<>(counted.keySet());
        operations.addAll(committed.keySet());
        List<String> lines = new ArrayList<>();
        for (String operation : operations) {
            Map<String, Long> now = counted.getOrDefault(operation, Map.of());
            Map<String, Long> before = committed.getOrDefault(operation, Map.of());
            Map<String, Long> allowed = new TreeMap<>(before);
            allowed.computeIfPresent(BYTES, (name, bytes) -> Math.min(bytes, now.getOrDefault(name, bytes)));
            if (!now.equals(allowed)) {
                lines.add("\n" + operation + ": " + text(now) + "\n    committed: " + text(before));
            }
        }
        return lines;
    }

    private static String text(Map<String, Long> counts) {
        return counts.entrySet().stream()
                .map(count -> count.getKey() + " " + count.getValue())
                .collect(Collectors.joining(", "));
    }
}
