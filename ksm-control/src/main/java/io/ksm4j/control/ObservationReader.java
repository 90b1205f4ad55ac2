// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.MergeRegistry;
import io.ksm4j.internal.Descriptors;
import io.ksm4j.stats.KsmStats;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.function.Supplier;

/** Makes observations of a machine. For use by one thread at a time. */
final class ObservationReader {

    private final Path root;
    private final Supplier<KsmStats> stats;
    private final long start = System.nanoTime();

    private Optional<KsmdThread> ksmd = Optional.empty();
    private boolean hasLookedForKsmd;

    /** Observes this machine. Needs no native code. */
    ObservationReader() {
        this(Path.of("/"), KsmStats::read);
    }

    /** Observes what {@code proc} and {@code sys} below a directory contain. */
    ObservationReader(Path root, long pageSize) {
        this(root, () -> KsmStats.read(root, pageSize));
    }

    private ObservationReader(Path root, Supplier<KsmStats> stats) {
        this.root = root;
        this.stats = stats;
    }

    /**
     * Makes an observation.
     *
     * @throws UncheckedIOException if a file of KSM or {@code ksmd} cannot be read, or any file is malformed
     */
    Observation read() {
        KsmStats now = stats.get();
        Map<String, Long> memory = memory();
        OptionalLong anonymous = number(memory, "AnonPages");
        OptionalLong sharing = now.pagesSharing();
        return new Observation(
                Duration.ofNanos(System.nanoTime() - start),
                settings(now),
                sharing,
                now.ksmZeroPages(),
                now.pagesVolatile(),
                now.rmapItems(),
                now.pagesScanned(),
                now.fullScans(),
                markedBytes(),
                ksmdTime(),
                number(memory, "MemTotal"),
                number(memory, "MemAvailable"),
                sum(number(memory, "MemFree"), number(memory, "Buffers"), number(memory, "Cached")),
                anonymous.isEmpty()
                        ? anonymous
                        : OptionalLong.of(anonymous.getAsLong() + sharing.orElse(0) * now.pageSize()),
                stalledPercent());
    }

    long markedBytes() {
        return MergeRegistry.system().mergeableBytes();
    }

    private static OptionalLong sum(OptionalLong... numbers) {
        long sum = 0;
        for (OptionalLong number : numbers) {
            if (number.isEmpty()) {
                return number;
            }
            sum += number.getAsLong();
        }
        return OptionalLong.of(sum);
    }

    private KsmSettings settings(KsmStats now) {
        KsmSettings settings = KsmSettings.EMPTY;
        for (KsmSetting setting : KsmSetting.values()) {
            String text = now.files().getOrDefault(setting.file(), "");
            try {
                settings = text.isEmpty() ? settings : settings.withUnchecked(setting, setting.parse(text));
            } catch (NumberFormatException e) {
                throw malformed(root.resolve("sys/kernel/mm/ksm").resolve(setting.file()), text, e);
            }
        }
        return settings;
    }

    private Map<String, Long> memory() {
        Path file = root.resolve("proc/meminfo");
        Map<String, Long> bytes = new HashMap<>();
        for (String line : lines(file)) {
            String[] words = line.split(":? +", -1);
            if (words.length == 3 && words[2].equals("kB")) {
                try {
                    bytes.put(words[0], Math.multiplyExact(Long.parseLong(words[1]), 1024L));
                } catch (NumberFormatException | ArithmeticException e) {
                    throw malformed(file, line, e);
                }
            }
        }
        return bytes;
    }

    private static OptionalLong number(Map<String, Long> numbers, String name) {
        Long number = numbers.get(name);
        return number == null ? OptionalLong.empty() : OptionalLong.of(number);
    }

    private OptionalDouble stalledPercent() {
        Path file = root.resolve("proc/pressure/memory");
        String start = "some avg10=";
        for (String line : lines(file)) {
            if (line.startsWith(start)) {
                try {
                    return OptionalDouble.of(Double.parseDouble(line.substring(start.length(), line.indexOf(' ', 5))));
                } catch (NumberFormatException | StringIndexOutOfBoundsException e) {
                    throw malformed(file, line, e);
                }
            }
        }
        return OptionalDouble.empty();
    }

    private Optional<Duration> ksmdTime() {
        if (!hasLookedForKsmd) {
            ksmd = KsmdThread.find(root);
            hasLookedForKsmd = true;
        }
        return ksmd.map(KsmdThread::cpuTime);
    }

    /**
     * Returns the lines of a file; none if it does not exist or cannot be read. With the boot option {@code psi=0}, the
     * file of pressure stalls exists but cannot be read, and Java does not expose errno, which would tell this from
     * other causes.
     */
    private static String[] lines(Path file) {
        try {
            String text = Files.readString(file, StandardCharsets.ISO_8859_1);
            return text.isEmpty() ? new String[0] : text.split("\n", -1);
        } catch (IOException e) {
            if (Descriptors.areUsedUp()) {
                // This says nothing about the machine.
                throw new UncheckedIOException("cannot read " + file + ": " + Descriptors.USED_UP, e);
            }
            return new String[0];
        }
    }

    private static UncheckedIOException malformed(Path file, String text, RuntimeException cause) {
        return new UncheckedIOException(new IOException(file + " contains '" + text + "'", cause));
    }
}
