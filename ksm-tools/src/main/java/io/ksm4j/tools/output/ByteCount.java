package io.ksm4j.tools.output;

import java.util.OptionalLong;

/** Numbers of bytes as people read them. */
public final class ByteCount {

    private ByteCount() {}

    /** For example {@code 0 B}, {@code 512 B}, {@code 1.5 MiB}, {@code -3.0 GiB}. */
    public static String text(long bytes) {
        return io.ksm4j.internal.ByteCount.text(bytes);
    }

    /** A dash if there is none. */
    public static String text(OptionalLong bytes) {
        return bytes.isPresent() ? text(bytes.getAsLong()) : "-";
    }
}
