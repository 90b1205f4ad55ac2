package io.ksm4j.it;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Stream;

/** What the kernel counts of merging, by the names of its files, read by other means than the library's own. */
final class KernelFiles {

    private static final Path SYSFS = Path.of("/sys/kernel/mm/ksm");

    private KernelFiles() {}

    /** Every file that says something of the kernel as a whole. */
    static List<Path> list() {
        try (Stream<Path> files = Files.list(SYSFS)) {
            return files.toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static long kernel(String file) {
        return Long.parseLong(read(SYSFS.resolve(file)).trim());
    }

    static long vmstat(String name) {
        return Long.parseLong(value(Path.of("/proc/vmstat"), name));
    }

    static String process(String name) {
        return value(Path.of("/proc/self/ksm_stat"), name);
    }

    private static String value(Path file, String name) {
        Map<String, String> values = new TreeMap<>();
        read(file).lines().forEach(line -> values.put(line.split(":? ", 2)[0], line.split(":? ", 2)[1]));
        return Objects.requireNonNull(values.get(name), name);
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
