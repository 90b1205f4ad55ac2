// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.output;

import java.util.OptionalLong;

/** Formats byte counts for people. */
public final class ByteCount {

    private ByteCount() {}

    /** Returns a text such as {@code 0 B}, {@code 512 B}, {@code 1.5 MiB} or {@code -3.0 GiB}. */
    public static String text(long bytes) {
        return io.ksm4j.internal.ByteCount.text(bytes);
    }

    /** Returns the text, or a dash if there is no number. */
    public static String text(OptionalLong bytes) {
        return bytes.isPresent() ? text(bytes.getAsLong()) : "-";
    }
}
