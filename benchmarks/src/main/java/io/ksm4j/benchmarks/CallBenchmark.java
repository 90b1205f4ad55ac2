package io.ksm4j.benchmarks;

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

/** What {@code calls.c} does, in Java. Public, because JMH is to call it; run by {@link Calls}. */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class CallBenchmark {

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

    /** Counts what is allocated. */
    @State(Scope.Thread)
    public abstract static class Counted {

        /** Before the calls of an iteration. */
        @Setup(Level.Iteration)
        public void begin() {
            AllocatedBytes.begin();
        }

        /** After them. */
        @TearDown(Level.Iteration)
        public void end() {
            AllocatedBytes.end();
        }
    }

    /** One range for each thread, marked. */
    @State(Scope.Thread)
    public static class OneRange extends Counted {

        /** The name of a {@link Binding}, set by JMH. */
        @Param("FFM_SPI")
        public String binding;

        private MergeRegion region;
        private Marker marker;

        /** Maps it. */
        @Setup
        public void open() {
            Binding way = Binding.valueOf(binding);
            KsmBackend backend = way.backend();
            region = touched(Ksm.with(backend));
            marker = way.marker(backend, region);
            marker.mark();
        }

        /** Unmaps it. */
        @TearDown
        public void close() {
            region.close();
        }
    }

    /** As many ranges as in C. */
    @State(Scope.Thread)
    public static class ManyRanges extends Counted {

        /** The name of a {@link Binding}, set by JMH. */
        @Param("FFM_API")
        public String binding;

        private Ksm ksm;
        private final List<MergeRegion> regions = new ArrayList<>();

        /** Maps them. */
        @Setup
        public void open() {
            ksm = Ksm.with(Binding.valueOf(binding).backend());
            for (int i = 0; i < RANGES; i++) {
                regions.add(touched(ksm));
            }
        }

        /** Unmaps them. */
        @TearDown
        public void close() {
            regions.forEach(MergeRegion::close);
            regions.clear();
        }
    }

    /** The API. */
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

    /** Marks what is marked: the least that the kernel has to do. */
    @Benchmark
    public void again(OneRange range) {
        range.marker.mark();
    }

    /** The same by two threads at once. */
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

    /** Marks all, then unmarks all, in one call each. */
    @Benchmark
    public void batch(ManyRanges ranges) {
        ranges.ksm.markMergeable(ranges.regions);
        ranges.ksm.markUnmergeable(ranges.regions);
    }

    /** Marks all, then unmarks all, in a call for each. */
    @Benchmark
    public void loop(ManyRanges ranges) {
        for (MergeRegion region : ranges.regions) {
            region.markMergeable();
        }
        for (MergeRegion region : ranges.regions) {
            region.markUnmergeable();
        }
    }

    /** Allocates a range, writes a byte to each page, closes it. */
    @Benchmark
    public void allocate(NoRange none) {
        try (MergeRegion region = none.ksm.allocate(RANGE, OPTIONS)) {
            touch(none.ksm, region);
        }
    }

    /** The same without an inaccessible page on each side, as in C. */
    @Benchmark
    public void allocateUnguarded(NoRange none) {
        try (MergeRegion region = none.ksm.allocate(RANGE, OPTIONS.withGuardPages(false))) {
            touch(none.ksm, region);
        }
    }
}
