package io.ksm4j.control;

import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * Small files, read and written by streams: channels, and so {@code Files}, fail in a thread that is interrupted, and what was borrowed
 * must be put back there, too.
 */
final class PlainFile {

    private PlainFile() {}

    static String read(Path file) throws IOException {
        try (FileInputStream in = new FileInputStream(file.toFile())) {
            return new String(in.readAllBytes(), StandardCharsets.ISO_8859_1);
        }
    }

    /** In one write, as sysfs wants it. */
    static void write(Path file, String text) throws IOException {
        try (FileOutputStream out = new FileOutputStream(file.toFile())) {
            out.write(text.getBytes(StandardCharsets.ISO_8859_1));
        }
    }

    /**
     * The fields of {@code /proc/PID/stat} behind the name, which may hold blanks and parentheses itself: the first of them is what
     * proc_pid_stat(5) numbers 3.
     */
    static String[] statFields(String stat) {
        return stat.substring(Math.min(stat.lastIndexOf(')') + 2, stat.length()))
                .split(" ", -1);
    }
}
