package io.ksm4j.tools;

import java.util.Locale;
import java.util.OptionalLong;

/** Numbers of bytes as people read them. */
final class ByteCount {

    private static final String[] UNITS = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

    private ByteCount() {}

    /** For example {@code 0 B}, {@code 512 B}, {@code 1.5 MiB}, {@code -3.0 GiB}. */
    static String text(long bytes) {
        if (Math.abs((double) bytes) < 1024) {
            return bytes + " B";
        }
        double value = bytes;
        int unit = -1;
        // What would be rounded to 1024.0 belongs to the next unit.
        while (Math.abs(value) >= (unit < 0 ? 1024 : 1023.95)) {
            value /= 1024;
            unit++;
        }
        return String.format(Locale.ROOT, "%.1f %s", value, UNITS[unit]);
    }

    /** A dash if there is none. */
    static String text(OptionalLong bytes) {
        return bytes.isPresent() ? text(bytes.getAsLong()) : "-";
    }
}
