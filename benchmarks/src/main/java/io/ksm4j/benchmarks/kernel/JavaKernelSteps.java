// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.kernel;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.junit.RunningKsmd;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** The steps in Java. All calls and page accesses are in the same order as in {@code kernel.c}. */
final class JavaKernelSteps implements KernelSteps, AutoCloseable {

    private static final RegionOptions OPTIONS =
            RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE).withHugePages(HugePages.AVOID);

    private final Ksm ksm;
    private final RunningKsmd ksmd;
    private final int page;
    private MergeRegion region;
    private ByteBuffer bytes;

    JavaKernelSteps(Ksm ksm, RunningKsmd ksmd) {
        this.ksm = ksm;
        this.ksmd = ksmd;
        this.page = Math.toIntExact(ksm.pageSize());
        this.region = ksm.allocate(2L * page, OPTIONS);
        this.bytes = region.buffer();
    }

    @Override
    public long run(String step, long size) {
        return switch (step) {
            case "merge" -> {
                map(size);
                yield markAndWait();
            }
            case "unmerge" -> {
                long start = System.nanoTime();
                region.markUnmergeable();
                long took = System.nanoTime() - start;
                region.close();
                yield took;
            }
            case "write" -> {
                map(size);
                yield writeEvenPages();
            }
            case "prepare" -> {
                preparePairs();
                yield markAndWait();
            }
            case "copy-on-write" -> {
                long took = writeEvenPages();
                region.close();
                yield took;
            }
            default -> throw new IllegalArgumentException("unknown step: " + step);
        };
    }

    /** Allocates and fills a region. There is one at a time; the last step that uses it closes it. */
    private void map(long size) {
        region.close();
        region = ksm.allocate(size, OPTIONS);
        bytes = region.buffer();
        MemorySegment.ofBuffer(bytes).fill((byte) '*');
    }

    private long markAndWait() {
        long start = System.nanoTime();
        region.markMergeable();
        long wanted = ksmd.read("full_scans") + 2;
        while (ksmd.read("full_scans") < wanted) {
            Thread.onSpinWait();
        }
        return System.nanoTime() - start;
    }

    /** Writes pairs of equal pages, each pair different from the others. */
    private void preparePairs() {
        byte[] pluses = new byte[page];
        Arrays.fill(pluses, (byte) '+');
        for (int pair = 0; pair < bytes.capacity() / page / 2; pair++) {
            bytes.put(2 * pair * page, pluses, 0, pair + 1);
            bytes.put((2 * pair + 1) * page, pluses, 0, pair + 1);
        }
    }

    private long writeEvenPages() {
        long start = System.nanoTime();
        writeEvenPages(bytes, 2 * page);
        return System.nanoTime() - start;
    }

    /** A separate method, so that the JVM compiles it. */
    private static void writeEvenPages(ByteBuffer bytes, int step) {
        for (int at = 0; at < bytes.capacity(); at += step) {
            bytes.put(at, (byte) '-');
        }
    }

    @Override
    public void close() {
        region.close();
    }
}
