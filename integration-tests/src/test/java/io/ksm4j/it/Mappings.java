package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.AddressRange;
import io.ksm4j.MergeRegistry;
import io.ksm4j.tck.Mapping;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** The mappings of this process, read by other means than the library's own. */
final class Mappings {

    private Mappings() {}

    /** Waits until the registry has started JMX and JFR, in threads of its own, which map libraries wherever there is room. */
    static void awaitThoseOfTheRegistry() {
        assertThat(MergeRegistry.system().openRegions()).isZero();
        await().until(() -> Thread.getAllStackTraces().keySet().stream()
                .noneMatch(thread -> thread.getName().startsWith("ksm4j-")));
    }

    /** How many there are. */
    static long count() {
        return lines("maps").stream()
                .filter(line -> !line.contains("[vsyscall]"))
                .count();
    }

    /** Whether any part of the range is mapped. */
    static boolean touch(AddressRange range) {
        return lines("maps").stream()
                .filter(line -> !line.contains("[vsyscall]"))
                .map(Mappings::rangeOf)
                .anyMatch(mapped -> mapped.start() < range.end() && mapped.end() > range.start());
    }

    /** The parts of the range that carry the {@code mg} flag; those that touch are one. */
    static List<AddressRange> mergeable(AddressRange range) {
        List<AddressRange> found = new ArrayList<>();
        for (Mapping mapping : Mapping.between(range.start(), range.end())) {
            if (mapping.isMergeable()) {
                add(found, new AddressRange(mapping.start(), mapping.end() - mapping.start()), range);
            }
        }
        return found;
    }

    private static void add(List<AddressRange> found, AddressRange mapping, AddressRange range) {
        long start = Math.max(mapping.start(), range.start());
        long end = Math.min(mapping.end(), range.end());
        if (start >= end) {
            return;
        }
        int last = found.size() - 1;
        if (last >= 0 && found.get(last).end() == start) {
            start = found.remove(last).start();
        }
        found.add(new AddressRange(start, end - start));
    }

    private static AddressRange rangeOf(String line) {
        int dash = line.indexOf('-');
        long start = Long.parseLong(line, 0, dash, 16);
        return new AddressRange(start, Long.parseLong(line, dash + 1, line.indexOf(' '), 16) - start);
    }

    private static List<String> lines(String file) {
        // Latin-1: mapped files may have names in any encoding.
        try (Stream<String> lines = Files.lines(Path.of("/proc/self", file), StandardCharsets.ISO_8859_1)) {
            return lines.toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
