// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.Locale;
import java.util.stream.Stream;

/** The description of the machine that is shown with every result. */
public final class Machine {

    private Machine() {}

    /** Returns kernel, processors, memory, JDK and the current date in one line. */
    public static String describe() {
        return String.format(
                Locale.ROOT,
                "Linux %s, %s, %d processors, %d GiB, JDK %s, %s",
                System.getProperty("os.version"),
                System.getProperty("os.arch"),
                Runtime.getRuntime().availableProcessors(),
                Math.round(memoryKiB() / 1024.0 / 1024),
                Runtime.version(),
                LocalDate.now(ZoneOffset.UTC));
    }

    private static long memoryKiB() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/meminfo"))) {
            return lines.filter(line -> line.startsWith("MemTotal:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
                    .findFirst()
                    .orElseThrow();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read the memory size", e);
        }
    }
}
