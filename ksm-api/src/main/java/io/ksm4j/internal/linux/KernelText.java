// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import io.ksm4j.internal.Descriptors;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The content of a small file written by the kernel: a single value, or lines with a name and a value each.
 *
 * <p>A line counts only if its line end was read, because the number in a truncated line may have lost digits.
 */
public record KernelText(Path file, String text) {

    /** Large enough for every file in {@code sysfs}, and for {@code /proc/vmstat} as of today. */
    public static final int BUFFER = 8192;

    /** Far more than the kernel writes. A file from elsewhere may be endless. */
    private static final int MAX_BYTES = 1 << 20;

    private static final int QUOTED = 80;

    /**
     * Returns null if the file does not exist or this process has no permission to read it; containers hide files in
     * both ways.
     */
    public static @Nullable KernelText readIfShown(Path file, byte[] buffer) throws IOException {
        try {
            return readIfThere(file, buffer);
        } catch (AccessDeniedException e) {
            return null;
        }
    }

    /** Like {@link #readIfShown}, for a file of one line: does not look for an end of the file after the line end. */
    public static @Nullable KernelText readLineIfShown(Path file, byte[] buffer) throws IOException {
        try {
            return readIfThere(file, buffer, true);
        } catch (AccessDeniedException e) {
            return null;
        }
    }

    /** Returns null if the file does not exist. */
    public static @Nullable KernelText readIfThere(Path file, byte[] buffer) throws IOException {
        return readIfThere(file, buffer, false);
    }

    private static @Nullable KernelText readIfThere(Path file, byte[] buffer, boolean isLine) throws IOException {
        try (InputStream in = open(file)) {
            int length = 0;
            int count;
            do {
                count = in.read(buffer, length, buffer.length - length);
                length += Math.max(count, 0);
            } while (count >= 0 && length < buffer.length && !(isLine && length > 0 && buffer[length - 1] == '\n'));
            if (length < buffer.length) {
                return new KernelText(file, new String(buffer, 0, length, StandardCharsets.ISO_8859_1));
            }
            byte[] more = in.readNBytes(MAX_BYTES);
            if (more.length == MAX_BYTES) {
                throw new IOException("more than " + MAX_BYTES + " bytes: not a file of the kernel");
            }
            return new KernelText(
                    file,
                    new String(buffer, StandardCharsets.ISO_8859_1) + new String(more, StandardCharsets.ISO_8859_1));
        } catch (NoSuchFileException e) {
            return null;
        }
    }

    /**
     * Not a FileChannel, so that interrupted threads can read. A FileInputStream takes less time than a stream of
     * {@link Files}, but its exception does not tell a missing file from a forbidden one.
     */
    private static InputStream open(Path file) throws IOException {
        if (file.getFileSystem().equals(FileSystems.getDefault())) {
            try {
                return new FileInputStream(file.toFile());
            } catch (FileNotFoundException e) {
                // Files throws an exception that says why.
            }
        }
        return Files.newInputStream(file);
    }

    public static UncheckedIOException unreadable(Path file, IOException cause) {
        return new UncheckedIOException("cannot read " + file + ": " + Descriptors.reason(cause), cause);
    }

    public static UncheckedIOException garbage(Path file, String text, String expected) {
        String quoted = text.length() <= QUOTED ? text : text.substring(0, QUOTED) + "...";
        return new UncheckedIOException(
                new IOException(file + ": expected " + expected + ", found \"" + quoted + "\""));
    }

    /** Returns the text without its line end; empty for an empty file. */
    public String withoutLineEnd() {
        return isCutOff() || text.isEmpty() ? text : text.substring(0, text.length() - 1);
    }

    public void requireLineEnd() {
        if (isCutOff()) {
            throw garbage(file, text.substring(text.lastIndexOf('\n') + 1), "a line end after the last line");
        }
    }

    private boolean isCutOff() {
        return !text.isEmpty() && text.charAt(text.length() - 1) != '\n';
    }

    /** Returns the value of the first line with the given name, or null. */
    @Nullable
    public String valueOf(String name) {
        String prefix = name + ' ';
        int line = text.startsWith(prefix) ? 0 : text.indexOf('\n' + prefix) + 1;
        if (line == 0 && !text.startsWith(prefix)) {
            return null;
        }
        int end = text.indexOf('\n', line);
        return text.substring(line + prefix.length(), end < 0 ? text.length() : end);
    }

    /**
     * Returns the values of all lines by name, without the colon that some names end in. If several lines have the same
     * name, the first one counts.
     */
    public Map<String, String> values() {
        Map<String, String> values = new TreeMap<>();
        for (int line = 0; line < text.length(); ) {
            int end = text.indexOf('\n', line);
            if (end < 0) {
                end = text.length();
            }
            int space = text.indexOf(' ', line);
            if (space < 0 || space > end) {
                space = end;
            }
            boolean colon = space > line && text.charAt(space - 1) == ':';
            values.putIfAbsent(
                    text.substring(line, colon ? space - 1 : space), text.substring(Math.min(space + 1, end), end));
            line = end + 1;
        }
        return values;
    }

    /**
     * Parses a signed number as the kernel prints it. Absent if there is no text, or if the number exceeds
     * {@link Long#MAX_VALUE}, which is a kernel counter that has wrapped below zero.
     */
    public static OptionalLong number(Path file, @Nullable String text) {
        if (text == null || text.isEmpty()) {
            return OptionalLong.empty();
        }
        try {
            if (text.charAt(0) == '-') {
                return OptionalLong.of(Long.parseLong(text));
            }
            if (text.charAt(0) != '+') {
                long number = Long.parseUnsignedLong(text);
                return number < 0 ? OptionalLong.empty() : OptionalLong.of(number);
            }
        } catch (NumberFormatException e) {
            // Reported below, with the name of the file.
        }
        throw garbage(file, text, "a number");
    }

    /** Parses a number that cannot be negative. Absent if it is, in either of the ways the kernel prints that. */
    public static OptionalLong count(Path file, @Nullable String text) {
        OptionalLong number = number(file, text);
        return number.orElse(-1) < 0 ? OptionalLong.empty() : number;
    }
}
