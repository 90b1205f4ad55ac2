// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.calls;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.ffm.MergeableArena;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.NativeMapping;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Threads;

/** The operations of {@code calls.c} in Java, run by {@link CallsBenchmark}. Public because JMH calls them. */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class JavaCalls {

    static final int RANGE = 64 << 10;
    static final int RANGES = 512;

    private static final int PAGE = (int) Binding.FFM_API.backend().pageSize();

    private static final int READ_WRITE = 3;
    private static final int PRIVATE_ANONYMOUS = 0x22;
    private static final int MADV_NOHUGEPAGE = 15;

    static final int THREADS = 10_000;

    /** The argument of a JVM that uses all backends. */
    static final String MIXED = "-Dmixed=true";

    private static final RegionOptions OPTIONS = RegionOptions.DEFAULT.withHugePages(HugePages.AVOID);

    private static MergeRegion touched(Ksm ksm) {
        MergeRegion region = ksm.allocate(RANGE, OPTIONS.withMarking(Marking.UNMERGEABLE));
        touch(region.buffer());
        return region;
    }

    private static void touch(ByteBuffer buffer) {
        for (int at = 0; at < RANGE; at += PAGE) {
            buffer.put(at, (byte) 1);
        }
    }

    /** Measures the allocated bytes. */
    @State(Scope.Thread)
    public abstract static class Counted {

        /** Starts counting before the calls of an iteration. */
        @Setup(Level.Iteration)
        public void begin() {
            AllocatedBytes.begin();
        }

        /** Stops counting after the calls of an iteration. */
        @TearDown(Level.Iteration)
        public void end() {
            AllocatedBytes.end();
        }
    }

    /** One marked range per thread. */
    @State(Scope.Thread)
    public static class OneRange extends Counted {

        /** The name of a {@link Binding}, set by JMH. */
        @Param("FFM_SPI")
        public String binding;

        private MergeRegion region;
        private RangeMarker marker;

        /** Maps the range. */
        @Setup
        public void open() {
            Binding chosen = Binding.valueOf(binding);
            KsmBackend backend = chosen.backend();
            region = touched(Ksm.with(backend));
            marker = chosen.marker(backend, region);
            if (Boolean.getBoolean("mixed")) {
                Binding.APIS.forEach(OneRange::use);
            }
            marker.mark();
        }

        /** Marks often enough for the JVM to compile calls for more than one backend. */
        private static void use(Binding binding) {
            try (MergeRegion region = touched(Ksm.with(binding.backend()))) {
                for (int i = 0; i < 20_000; i++) {
                    region.markMergeable();
                }
            }
        }

        /** Unmaps the range. */
        @TearDown
        public void close() {
            region.close();
        }
    }

    /** The same number of ranges as in C. */
    @State(Scope.Thread)
    public static class ManyRanges extends Counted {

        /** The name of a {@link Binding}, set by JMH. */
        @Param("FFM_API")
        public String binding;

        private Ksm ksm;
        private final List<MergeRegion> regions = new ArrayList<>();

        /** Maps the ranges. */
        @Setup
        public void open() {
            ksm = Ksm.with(Binding.valueOf(binding).backend());
            for (int i = 0; i < RANGES; i++) {
                regions.add(touched(ksm));
            }
        }

        /** Unmaps the ranges. */
        @TearDown
        public void close() {
            regions.forEach(MergeRegion::close);
            regions.clear();
        }
    }

    /** Allocates ranges. */
    @State(Scope.Thread)
    public static class NoRange extends Counted {

        /** The name of a {@link Binding}, set by JMH. */
        @Param("FFM_API")
        public String binding;

        private Binding chosen;
        private KsmBackend backend;
        private Ksm ksm;

        /** Loads the backend. */
        @Setup
        public void open() {
            chosen = Binding.valueOf(binding);
            backend = chosen.backend();
            ksm = Ksm.with(backend);
        }

        private void allocate(RegionOptions options) {
            switch (chosen) {
                case FFM_ARENA -> {
                    try (Arena arena = MergeableArena.ofConfined(ksm, options)) {
                        touch(arena.allocate(RANGE).asByteBuffer());
                    }
                }
                case FFM_SPI -> allocateBySpi(options.guardPages() ? backend.pageSize() : 0);
                default -> {
                    try (MergeRegion region = ksm.allocate(RANGE, options)) {
                        touch(region.buffer());
                    }
                }
            }
        }

        private void allocateBySpi(long guard) {
            long mapped = RANGE + 2 * guard;
            long address = backend.mmap(mapped, guard == 0 ? READ_WRITE : 0, PRIVATE_ANONYMOUS);
            long start = address + guard;
            if (guard > 0) {
                backend.mprotect(start, RANGE, READ_WRITE);
            }
            backend.madvise(start, RANGE, MADV_NOHUGEPAGE);
            backend.madvise(start, RANGE, RangeMarker.MADV_MERGEABLE);
            NativeMapping views = backend.map(start, RANGE, this);
            touch(views.buffer(0, RANGE));
            if (!views.revoke() || backend.munmap(address, mapped) != 0) {
                throw new IllegalStateException("not unmapped");
            }
        }
    }

    /** Marks a range that is already marked, which is the least work for the kernel. */
    @Benchmark
    public void again(OneRange range) {
        range.marker.mark();
    }

    /** Marks ranges that are already marked in two threads at the same time. */
    @Benchmark
    @Threads(2)
    public void againByTwo(OneRange range) {
        range.marker.mark();
    }

    /** Marks ranges that are already marked, once in each of many virtual threads, which are started for it. */
    @Benchmark
    public void againVirtually(ManyRanges ranges) {
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int i = 0; i < THREADS; i++) {
                threads.execute(ranges.regions.get(i % RANGES)::markMergeable);
            }
        }
    }

    /** Marks and unmarks. */
    @Benchmark
    public void change(OneRange range) {
        range.marker.mark();
        range.marker.unmark();
    }

    /** Marks all ranges with one call, then unmarks all with another. */
    @Benchmark
    public void batch(ManyRanges ranges) {
        ranges.ksm.markMergeable(ranges.regions);
        ranges.ksm.markUnmergeable(ranges.regions);
    }

    /** Marks all ranges, then unmarks all, with one call per range. */
    @Benchmark
    public void loop(ManyRanges ranges) {
        for (MergeRegion region : ranges.regions) {
            region.markMergeable();
        }
        for (MergeRegion region : ranges.regions) {
            region.markUnmergeable();
        }
    }

    /** Allocates a range, writes a byte to each page, and closes it. */
    @Benchmark
    public void allocate(NoRange none) {
        none.allocate(OPTIONS);
    }

    /** Does the same without guard pages, as in C. */
    @Benchmark
    public void allocateUnguarded(NoRange none) {
        none.allocate(OPTIONS.withGuardPages(false));
    }
}
