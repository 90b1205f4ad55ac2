// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import io.ksm4j.control.KsmSetting;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;

/** Files of the kernel, read without the library. */
final class KernelFiles {

    static final Path KSM = Path.of("/sys/kernel/mm/ksm");

    private KernelFiles() {}

    /** Returns the text as Latin-1, since names of files may contain any bytes. */
    static String text(Path file) {
        try {
            return new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Returns the number in a file of {@code /sys/kernel/mm/ksm}. */
    static long counter(String name) {
        return Long.parseLong(text(KSM.resolve(name)).strip());
    }

    /** Returns the contents of all settings, by the names of their files. */
    static Map<String, String> settings() {
        Map<String, String> settings = new TreeMap<>();
        for (KsmSetting setting : KsmSetting.values()) {
            if (Files.exists(KSM.resolve(setting.file()))) {
                settings.put(setting.file(), text(KSM.resolve(setting.file())));
            }
        }
        return settings;
    }

    /** Returns the number of merged pages of a process, or empty if the kernel does not report it. */
    static OptionalLong mergingPages(long pid) {
        Path file = Path.of("/proc", Long.toString(pid), "ksm_merging_pages");
        return Files.exists(file) ? OptionalLong.of(Long.parseLong(text(file).strip())) : OptionalLong.empty();
    }

    /** Returns a value of {@code /proc/meminfo} in bytes. */
    static long memory(String name) {
        return kilobytes(text(Path.of("/proc/meminfo")), name) << 10;
    }

    /** Returns a counter of a mapping of a process in bytes. */
    static long mapping(long pid, long start, String name) {
        String smaps = text(Path.of("/proc", Long.toString(pid), "smaps"));
        int at = ("\n" + smaps).indexOf("\n" + Long.toHexString(start) + "-");
        if (at < 0) {
            throw new AssertionError("nothing is mapped at " + Long.toHexString(start));
        }
        return kilobytes(smaps.substring(at), name) << 10;
    }

    private static long kilobytes(String text, String name) {
        for (String line : text.split("\n", -1)) {
            if (line.startsWith(name + ":")) {
                return Long.parseLong(line.replaceAll("[^0-9]", ""));
            }
        }
        throw new AssertionError("there is no " + name);
    }
}
