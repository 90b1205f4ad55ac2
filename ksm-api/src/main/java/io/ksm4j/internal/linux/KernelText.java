package io.ksm4j.internal.linux;

import io.ksm4j.internal.Descriptors;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The text of a small file that the kernel writes: one value, or lines of a name and a value.
 *
 * <p>A line counts only if its end was read, since the number in a line that was cut off may be any shorter one.
 */
public record KernelText(Path file, String text) {

    /** Holds every file of {@code sysfs}, and {@code /proc/vmstat} as it is today. */
    public static final int BUFFER = 8192;

    /** Far more than the kernel writes; something else than a kernel's file may never end. */
    private static final int MOST = 1 << 20;

    private static final int QUOTED = 80;

    /** Nothing if there is no such file, or no right to read it: a container hides files in both ways. */
    public static @Nullable KernelText readIfShown(Path file, byte[] buffer) throws IOException {
        try {
            return readIfThere(file, buffer);
        } catch (AccessDeniedException e) {
            return null;
        }
    }

    public static @Nullable KernelText readIfThere(Path file, byte[] buffer) throws IOException {
        // Not a FileChannel: an interrupted thread may read. Not a FileInputStream: its exception doesn't tell why.
        try (InputStream in = Files.newInputStream(file)) {
            int length = in.readNBytes(buffer, 0, buffer.length);
            if (length < buffer.length) {
                return new KernelText(file, new String(buffer, 0, length, StandardCharsets.ISO_8859_1));
            }
            byte[] more = in.readNBytes(MOST);
            if (more.length == MOST) {
                throw new IOException("more than " + MOST + " bytes: the kernel writes no such file");
            }
            return new KernelText(
                    file,
                    new String(buffer, StandardCharsets.ISO_8859_1) + new String(more, StandardCharsets.ISO_8859_1));
        } catch (NoSuchFileException e) {
            return null;
        }
    }

    public static UncheckedIOException unreadable(Path file, IOException cause) {
        return new UncheckedIOException("cannot read " + file + ": " + Descriptors.reason(cause), cause);
    }

    public static UncheckedIOException garbage(Path file, String text, String expected) {
        String quoted = text.length() <= QUOTED ? text : text.substring(0, QUOTED) + "...";
        return new UncheckedIOException(
                new IOException(file + ": expected " + expected + ", found \"" + quoted + "\""));
    }

    /** The text without its line end; empty for an empty file. */
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

    /** The value of the first line of that name, or null. */
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

    /** All lines by name, without the colon that some names end in. Of lines with one name the first counts. */
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
     * A number that is signed as the kernel prints it. Absent if there is no text, and above {@link Long#MAX_VALUE}: that is a
     * counter of the kernel which has wrapped below zero.
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
            // Told below, with the file's name.
        }
        throw garbage(file, text, "a number");
    }

    /** A number that cannot be less than zero: absent if it is, whichever way the kernel prints that. */
    public static OptionalLong count(Path file, @Nullable String text) {
        OptionalLong number = number(file, text);
        return number.orElse(-1) < 0 ? OptionalLong.empty() : number;
    }
}
