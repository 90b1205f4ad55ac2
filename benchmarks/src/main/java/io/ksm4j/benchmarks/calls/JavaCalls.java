// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.calls;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.spi.KsmBackend;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
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

    private static final RegionOptions OPTIONS = RegionOptions.DEFAULT.withHugePages(HugePages.AVOID);

    private static MergeRegion touched(Ksm ksm) {
        MergeRegion region = ksm.allocate(RANGE, OPTIONS.withMarking(Marking.UNMERGEABLE));
        touch(ksm, region);
        return region;
    }

    private static void touch(Ksm ksm, MergeRegion region) {
        ByteBuffer buffer = region.buffer();
        for (int at = 0; at < RANGE; at += (int) ksm.pageSize()) {
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
            marker.mark();
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

    /** The API without a range. */
    @State(Scope.Thread)
    public static class NoRange extends Counted {

        /** The name of a {@link Binding}, set by JMH. */
        @Param("FFM_API")
        public String binding;

        private Ksm ksm;

        /** Loads the backend. */
        @Setup
        public void open() {
            ksm = Ksm.with(Binding.valueOf(binding).backend());
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
        try (MergeRegion region = none.ksm.allocate(RANGE, OPTIONS)) {
            touch(none.ksm, region);
        }
    }

    /** Does the same without guard pages, as in C. */
    @Benchmark
    public void allocateUnguarded(NoRange none) {
        try (MergeRegion region = none.ksm.allocate(RANGE, OPTIONS.withGuardPages(false))) {
            touch(none.ksm, region);
        }
    }
}
