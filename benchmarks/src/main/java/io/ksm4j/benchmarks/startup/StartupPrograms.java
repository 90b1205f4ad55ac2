// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.startup;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * The programs whose start is measured. Each prints how many nanoseconds its {@code main} took to get a marked page,
 * and halts. With an argument it exits normally, which makes the JVM write its AOT cache.
 */
final class StartupPrograms {

    private StartupPrograms() {}

    private static void marked(long start, boolean training) {
        System.out.println(System.nanoTime() - start);
        if (!training) {
            Runtime.getRuntime().halt(0);
        }
    }

    /** Marks nothing. */
    static final class Empty {
        public static void main(String[] args) {
            marked(System.nanoTime(), args.length > 0);
        }
    }

    /** Makes only the necessary calls with {@code java.lang.foreign}. */
    static final class ByHand {

        private static final int PAGE = 4096;
        private static final int PROT_READ_WRITE = 3;
        private static final int MAP_PRIVATE_ANONYMOUS = 0x22;
        private static final int MADV_MERGEABLE = 12;

        @SuppressWarnings("restricted")
        public static void main(String[] args) throws Throwable {
            long start = System.nanoTime();
            Linker linker = Linker.nativeLinker();
            Linker.Option errno = Linker.Option.captureCallState("errno");
            MethodHandle mmap = linker.downcallHandle(
                    linker.defaultLookup().findOrThrow("mmap"),
                    FunctionDescriptor.of(
                            ValueLayout.JAVA_LONG,
                            ValueLayout.JAVA_LONG,
                            ValueLayout.JAVA_LONG,
                            ValueLayout.JAVA_INT,
                            ValueLayout.JAVA_INT,
                            ValueLayout.JAVA_INT,
                            ValueLayout.JAVA_LONG),
                    errno);
            MethodHandle madvise = linker.downcallHandle(
                    linker.defaultLookup().findOrThrow("madvise"),
                    FunctionDescriptor.of(
                            ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT),
                    errno);
            MemorySegment captured = Arena.ofAuto().allocate(Linker.Option.captureStateLayout());
            long address =
                    (long) mmap.invokeExact(captured, 0L, (long) PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0L);
            int result = (int) madvise.invokeExact(captured, address, (long) PAGE, MADV_MERGEABLE);
            if (result != 0) {
                throw new IllegalStateException("madvise failed");
            }
            marked(start, args.length > 0);
        }
    }

    /** Does the same through ksm4j. */
    static final class Library {
        public static void main(String[] args) {
            long start = System.nanoTime();
            MergeRegion region = Ksm.system().allocate(1);
            if (region.isOpen()) {
                marked(start, args.length > 0);
            }
        }
    }
}
