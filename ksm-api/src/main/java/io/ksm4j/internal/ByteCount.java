// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal;

/**
 * Formats byte counts for people. Loads no other class, because the path from a failed call to its exception uses it.
 */
public final class ByteCount {

    private static final String[] UNITS = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

    private ByteCount() {}

    /**
     * Formats a byte count, for example as {@code 512 B}, {@code 1.5 MiB} or {@code -3.0 GiB}.
     *
     * @param bytes any number
     * @return the number with its unit
     */
    public static String text(long bytes) {
        double value = Math.abs((double) bytes);
        if (value < 1024) {
            return bytes + " B";
        }
        int unit = -1;
        // A value that would be rounded to 1024.0 uses the next unit.
        while (value >= (unit < 0 ? 1024 : 1023.95)) {
            value /= 1024;
            unit++;
        }
        long tenths = Math.round(value * 10);
        return (bytes < 0 ? "-" : "") + tenths / 10 + "." + tenths % 10 + " " + UNITS[unit];
    }
}
