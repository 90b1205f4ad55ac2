// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.MergeRegistry;
import io.ksm4j.internal.Descriptors;
import io.ksm4j.internal.linux.KernelText;
import io.ksm4j.stats.KsmStats;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Makes observations of a machine. For use by one thread at a time. */
final class ObservationReader {

    private final Path root;
    private final Supplier<KsmStats> stats;
    private final byte[] buffer = new byte[KernelText.BUFFER];
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
        KernelText meminfo = text("proc/meminfo");
        OptionalLong anonymous = memory(meminfo, "AnonPages");
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
                memory(meminfo, "MemTotal"),
                memory(meminfo, "MemAvailable"),
                sum(memory(meminfo, "MemFree"), memory(meminfo, "Buffers"), memory(meminfo, "Cached")),
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

    /** {@return the bytes that a line of {@code /proc/meminfo} shows} */
    private static OptionalLong memory(@Nullable KernelText meminfo, String name) {
        String value = meminfo == null ? null : meminfo.valueOf(name + ":");
        if (meminfo == null || value == null) {
            return OptionalLong.empty();
        }
        try {
            long kib = Long.parseLong(value.substring(0, value.indexOf(" kB")).strip());
            return OptionalLong.of(Math.multiplyExact(kib, 1024L));
        } catch (NumberFormatException | StringIndexOutOfBoundsException | ArithmeticException e) {
            throw malformed(meminfo.file(), name + ": " + value, e);
        }
    }

    private OptionalDouble stalledPercent() {
        KernelText pressure = text("proc/pressure/memory");
        String some = pressure == null ? null : pressure.valueOf("some");
        if (pressure == null || some == null) {
            return OptionalDouble.empty();
        }
        try {
            String start = "avg10=";
            return some.startsWith(start)
                    ? OptionalDouble.of(Double.parseDouble(some.substring(start.length(), some.indexOf(' '))))
                    : OptionalDouble.empty();
        } catch (NumberFormatException | StringIndexOutOfBoundsException e) {
            throw malformed(pressure.file(), some, e);
        }
    }

    private Optional<Duration> ksmdTime() {
        if (!hasLookedForKsmd) {
            ksmd = KsmdThread.find(root);
            hasLookedForKsmd = true;
        }
        return ksmd.map(KsmdThread::cpuTime);
    }

    /**
     * Returns the content of a file; null if it does not exist or cannot be read. With the boot option {@code psi=0},
     * the file of pressure stalls exists but cannot be read, and Java does not expose errno, which would tell this from
     * other causes.
     */
    private @Nullable KernelText text(String name) {
        Path file = root.resolve(name);
        try {
            return KernelText.readIfShown(file, buffer);
        } catch (IOException e) {
            if (Descriptors.areUsedUp()) {
                // This says nothing about the machine.
                throw new UncheckedIOException("cannot read " + file + ": " + Descriptors.USED_UP, e);
            }
            return null;
        }
    }

    private static UncheckedIOException malformed(Path file, String text, RuntimeException cause) {
        return new UncheckedIOException(new IOException(file + " contains '" + text + "'", cause));
    }
}
