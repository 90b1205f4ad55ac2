package io.ksm4j.internal;

/** Numbers of bytes as people read them. Loads no other class, since the way from a failed call to its exception uses it. */
public final class ByteCount {

    private static final String[] UNITS = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

    private ByteCount() {}

    /**
     * For example {@code 512 B}, {@code 1.5 MiB}, {@code -3.0 GiB}.
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
        // What would be rounded to 1024.0 belongs to the next unit.
        while (value >= (unit < 0 ? 1024 : 1023.95)) {
            value /= 1024;
            unit++;
        }
        long tenths = Math.round(value * 10);
        return (bytes < 0 ? "-" : "") + tenths / 10 + "." + tenths % 10 + " " + UNITS[unit];
    }
}
