// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.linux;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The file {@code status} of a process or a thread (proc_pid_status(5)).
 *
 * @param file the file
 * @param text its content
 */
public record ProcessStatus(Path file, String text) {

    /** Reads the file in a directory such as {@code /proc/self}. The process name in it may be arbitrary bytes. */
    public static ProcessStatus read(Path directory) throws IOException {
        Path file = directory.resolve("status");
        return new ProcessStatus(file, Files.readString(file, StandardCharsets.ISO_8859_1));
    }

    /** Returns the value of a field, without leading spaces. */
    public String field(String name) throws IOException {
        Matcher line = Pattern.compile("(?m)^" + name + ":[ \\t]*(.*)$").matcher(text);
        if (!line.find()) {
            throw new IOException("no " + name + " in " + file);
        }
        return line.group(1);
    }

    /** {@return whether this thread has ended and only its exit status is left} */
    public boolean hasEnded() throws IOException {
        String state = field("State");
        return state.startsWith("Z") || state.startsWith("X");
    }

    /** Returns a set of signals, of which bit 0 is signal 1. */
    public long signals(String name) throws IOException {
        return Long.parseUnsignedLong(field(name), 16);
    }
}
