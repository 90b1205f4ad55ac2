// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.ksm4j.Ksm;
import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A program whose first thread has ended, as {@code pthread_exit} in {@code main} ends it. The first thread waits in
 * the launcher {@code java}, so a signal makes it call {@code pthread_exit}. The program runs until its standard input
 * ends.
 */
final class FirstThreadEnds {

    /** The last real-time signal. The JVM does not use it. */
    private static final int SIGNAL = 64;

    private FirstThreadEnds() {}

    @SuppressWarnings("restricted") // There is no other way to make these calls.
    public static void main(String[] arguments) throws Throwable {
        Ksm.system().process().markMergeable();
        int pid = (int) ProcessHandle.current().pid();
        MemorySegment ignored = (MemorySegment) Linker.nativeLinker()
                .downcallHandle(function("signal"), FunctionDescriptor.of(ADDRESS, JAVA_INT, ADDRESS))
                .invokeExact(SIGNAL, function("pthread_exit"));
        int sent = (int) Linker.nativeLinker()
                .downcallHandle(function("tgkill"), FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT))
                .invokeExact(pid, pid, SIGNAL);
        if (sent != 0) {
            throw new IOException("the signal was not sent");
        }
        while (!Files.readString(Path.of("/proc/self/status")).contains("\nState:\tZ")) {
            Thread.onSpinWait();
        }
        System.out.println("ended");
        System.exit(System.in.read() == -1 ? 0 : 1);
    }

    private static MemorySegment function(String name) {
        return Linker.nativeLinker().defaultLookup().find(name).orElseThrow();
    }
}
