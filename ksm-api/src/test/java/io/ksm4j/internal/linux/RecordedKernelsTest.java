// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Files of processes and cgroups that {@code libexec/kernels} has recorded, read as the kernel wrote them. */
class RecordedKernelsTest {

    private static final Pattern HEADER = Pattern.compile("([0-9a-f]+)-([0-9a-f]+) .*");

    /** What the file says of one mapping, in bytes; -1 where it says nothing. */
    private record Mapping(long start, long end, long rss, long pss, long ksm, boolean mergeable) {}

    @TempDir
    Path root;

    static Stream<Path> recordings() throws IOException, URISyntaxException {
        Path kernels = Path.of(Objects.requireNonNull(RecordedKernelsTest.class.getResource("/kernels"))
                .toURI());
        List<Path> recorded;
        try (Stream<Path> all = Files.list(kernels)) {
            recorded = all.filter(kernel -> Files.exists(kernel.resolve("proc/1/smaps")))
                    .sorted()
                    .toList();
        }
        assertThat(recorded).hasSizeGreaterThan(4);
        return recorded.stream();
    }

    @ParameterizedTest
    @MethodSource("recordings")
    void everyMappingIsRead(Path kernel) throws IOException {
        List<Mapping> expected = parse(Files.readAllLines(kernel.resolve("proc/1/smaps")));
        List<Mapping> found = new ArrayList<>();
        try (Smaps mapping = new Smaps(kernel.resolve("proc/1/smaps"))) {
            while (mapping.next()) {
                found.add(new Mapping(
                        mapping.start, mapping.end, mapping.rss, mapping.pss, mapping.ksm, mapping.mergeable));
            }
        }
        assertThat(found).isEqualTo(expected).anyMatch(Mapping::mergeable);
    }

    private static List<Mapping> parse(List<String> lines) {
        List<Mapping> mappings = new ArrayList<>();
        for (int from = 0; from < lines.size(); ) {
            int to = from + 1;
            while (to < lines.size() && !HEADER.matcher(lines.get(to)).matches()) {
                to++;
            }
            Matcher header = HEADER.matcher(lines.get(from));
            assertThat(header.matches()).isTrue();
            List<String> fields = lines.subList(from + 1, to);
            mappings.add(new Mapping(
                    Long.parseLong(header.group(1), 16),
                    Long.parseLong(header.group(2), 16),
                    bytes(fields, "Rss"),
                    bytes(fields, "Pss"),
                    bytes(fields, "KSM"),
                    fields.stream().anyMatch(field -> field.matches("VmFlags:.* mg( .*)?"))));
            from = to;
        }
        return mappings;
    }

    private static long bytes(List<String> fields, String name) {
        return fields.stream()
                .filter(field -> field.startsWith(name + ":"))
                .mapToLong(field -> Long.parseLong(field.replaceAll("\\D", "")) << 10)
                .findFirst()
                .orElse(-1);
    }

    @ParameterizedTest
    @MethodSource("recordings")
    void theLimitOfTheCgroupIsFound(Path kernel) throws IOException {
        copy(kernel);
        Files.writeString(root.resolve("proc/meminfo"), "MemAvailable: 1000000000 kB\n");
        Files.writeString(root.resolve("proc/self/mountinfo"), "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        String group = Files.readString(root.resolve("proc/self/cgroup")).trim().substring("0::".length());
        Path files = root.resolve("sys/fs/cgroup" + group);
        long limit = number(files.resolve("memory.max"));
        long file = Files.readAllLines(files.resolve("memory.stat")).stream()
                .filter(line -> line.startsWith("inactive_file ") || line.startsWith("active_file "))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
                .sum();

        MemoryLeft.Left left = new MemoryLeft(root).read();

        assertThat(left.unreadable()).isNull();
        assertThat(left.bytes()).isEqualTo(limit - number(files.resolve("memory.current")) + file);
        assertThat(left.limitedBy()).endsWith(group + "/memory.max");
    }

    private static long number(Path file) throws IOException {
        return Long.parseLong(Files.readString(file).trim());
    }

    private void copy(Path tree) throws IOException {
        try (Stream<Path> files = Files.walk(tree)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Path copy = root.resolve(tree.relativize(file).toString());
                Files.createDirectories(copy.getParent());
                Files.copy(file, copy);
            }
        }
    }
}
