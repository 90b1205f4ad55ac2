// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads the CPU time of the kernel thread {@code ksmd} with nanosecond resolution. */
public final class KsmdCpuTime {

    private final Path schedstat;

    public KsmdCpuTime() {
        this(Path.of("/proc"));
    }

    KsmdCpuTime(Path proc) {
        try (DirectoryStream<Path> processes = Files.newDirectoryStream(proc, "[0-9]*")) {
            for (Path process : processes) {
                Path name = process.resolve("comm");
                if (Files.exists(name) && Files.readString(name).equals("ksmd\n")) {
                    schedstat = process.resolve("schedstat");
                    return;
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot search " + proc + " for ksmd", e);
        }
        throw new IllegalStateException("ksmd is not in " + proc + ": does this container show kernel threads?");
    }

    /** Returns the CPU seconds since the machine started. */
    public double seconds() {
        try {
            // The first number of schedstat is the CPU time in nanoseconds.
            String text = Files.readString(schedstat);
            return Long.parseLong(text.substring(0, text.indexOf(' '))) / 1e9;
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + schedstat, e);
        }
    }
}
