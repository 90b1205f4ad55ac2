// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.look;

import io.ksm4j.Ksm;
import io.ksm4j.NativeMemory;
import io.ksm4j.NativeMemoryOptions;
import io.ksm4j.benchmarks.DisturbanceMeter;
import io.ksm4j.benchmarks.GeneratedSection;
import io.ksm4j.benchmarks.Median;
import io.ksm4j.benchmarks.Target;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.ServiceLoader;

/**
 * Measures how long {@link NativeMemory} looks at a JVM that has reserved much memory and uses little of it. Writes the
 * table of {@code docs/agent.md}.
 */
final class LookBenchmark {

    private static final int ROUNDS = 7;
    private static final long RESERVED = 200L << 30;
    private static final int USED_PAGES = 1000;

    private static final int READ_WRITE = 3;
    private static final int PRIVATE_ANONYMOUS_NORESERVE = 0x4022;

    private LookBenchmark() {}

    /** Measures and updates the page, unless the run was disturbed. The argument is the root of the repository. */
    @SuppressWarnings("restricted")
    public static void main(String[] args) throws Exception {
        KsmBackend backend = ServiceLoader.load(KsmBackendProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .filter(provider -> provider.name().equals("ffm"))
                .findFirst()
                .orElseThrow()
                .open();
        long address = backend.mmap(RESERVED, READ_WRITE, PRIVATE_ANONYMOUS_NORESERVE);
        if (address < 0) {
            throw new IllegalStateException("cannot reserve " + RESERVED + " bytes: errno " + -address);
        }
        MemorySegment memory = MemorySegment.ofAddress(address).reinterpret(RESERVED);
        for (int i = 0; i < USED_PAGES; i++) {
            memory.set(ValueLayout.JAVA_BYTE, RESERVED / USED_PAGES * i, (byte) 1);
        }
        Ksm ksm = Ksm.with(backend);
        NativeMemoryOptions options = NativeMemoryOptions.DEFAULT.withInterval(Duration.ZERO);
        DisturbanceMeter meter = DisturbanceMeter.start();
        double[] first = new double[ROUNDS];
        double[] next = new double[ROUNDS];
        for (int round = 0; round < ROUNDS; round++) {
            long start = System.nanoTime();
            try (NativeMemory marked = NativeMemory.adopt(ksm, options)) {
                long middle = System.nanoTime();
                marked.look();
                next[round] = (System.nanoTime() - middle) / 1e9;
                first[round] = (middle - start) / 1e9;
            }
        }
        String text = String.format(
                Locale.ROOT,
                """
                A JVM that has reserved %d GiB and uses %d pages of it, %d rounds:

                | look | median, s | slowest, s |
                | --- | --- | --- |
                | the first, which also takes the baseline | %.3f | %.3f |
                | the next one, with nothing new | %.3f | %.3f |

                    %s
                """,
                RESERVED >> 30,
                USED_PAGES,
                ROUNDS,
                Median.of(first),
                max(first),
                Median.of(next),
                max(next),
                Target.maximum("look-200-gib-reserved-seconds", Median.of(first), 0.3));
        GeneratedSection section = new GeneratedSection(Path.of("docs", "agent.md"), "look");
        System.exit(section.publish(Path.of(args[0]), meter.stop(), text));
    }

    private static double max(double[] seconds) {
        double max = 0;
        for (double second : seconds) {
            max = Math.max(max, second);
        }
        return max;
    }
}
