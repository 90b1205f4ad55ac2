// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.measurement;

import io.ksm4j.Ksm;
import java.io.IOException;

/** The machine that a sample runs on. */
public final class Machine {

    private Machine() {}

    /**
     * Returns what results depend on, in one line.
     *
     * @return the versions of Linux and of Java, and so on
     */
    public static String describe() {
        return String.format(
                "Linux %s, %s, %d processors, Java %s, backend %s",
                System.getProperty("os.version"),
                System.getProperty("os.arch"),
                Runtime.getRuntime().availableProcessors(),
                Runtime.version(),
                Ksm.systemOrFallback().backend());
    }

    /**
     * Checks that programs can allocate memory before the machine has to swap.
     *
     * @param needed the bytes that a sample may need
     * @param advice what the user can do if there are not so many
     * @throws IOException if there are not so many
     */
    public static void requireMemory(long needed, String advice) throws IOException {
        long available = ProcessMemory.available();
        if (needed > available) {
            throw new IOException("this may need " + mebibytes(needed) + " of memory, but only " + mebibytes(available)
                    + " are available: " + advice);
        }
    }

    /**
     * Returns a size as text.
     *
     * @param bytes the size
     * @return whole mebibytes, with the unit
     */
    public static String mebibytes(long bytes) {
        return bytes / (1 << 20) + " MiB";
    }
}
