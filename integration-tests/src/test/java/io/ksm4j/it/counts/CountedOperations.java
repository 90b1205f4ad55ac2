// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.counts;

import com.sun.management.ThreadMXBean;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.pool.MergePool;
import io.ksm4j.stats.KsmStats;
import java.io.File;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.stream.Stream;

/**
 * Repeats each operation in rounds. Looks for a file right before and right after each round, which separates the
 * rounds in a trace of system calls, and prints what an operation has allocated on the heap.
 */
final class CountedOperations {

    /** The directory of the files that it looks for. It does not exist. */
    static final String MARKER = "/ksm4j-counts";

    /** The file that it looks for at the end. */
    static final String LAST = "last";

    private static final int ROUNDS = 5;

    /** Some operations make a system call only now and then, for example after every 4 MiB. */
    private static final int CALLS = 64;

    /** The JDK makes method handles faster after some calls, also in a JVM that interprets. */
    private static final int WARM_UP = 500;

    private static final int SIZE = 64 << 10;

    /** The number of regions in a list. */
    private static final int LISTED = 64;

    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    private static long touchedPages;

    private CountedOperations() {}

    public static void main(String[] args) {
        count("statistics", KsmStats::read);
        for (String backend : TestedBackends.NAMES) {
            Ksm ksm = Ksm.with(TestedBackends.open(backend));
            ByteBuffer value = ByteBuffer.allocate(SIZE);
            try (MergeRegion region = ksm.allocate(SIZE);
                    MergePool pool = MergePool.create(ksm, 1 << 20)) {
                touch(region.buffer(), ksm.pageSize());
                count("mark-again " + backend, region::markMergeable);
                count("unmark-mark " + backend, () -> {
                    region.markUnmergeable();
                    region.markMergeable();
                });
                List<MergeRegion> list =
                        Stream.generate(() -> ksm.allocate(SIZE)).limit(LISTED).toList();
                count("unmark-mark-list " + backend, () -> {
                    ksm.markUnmergeable(list);
                    ksm.markMergeable(list);
                });
                list.forEach(MergeRegion::close);
                count("allocate-close " + backend, () -> {
                    try (MergeRegion other = ksm.allocate(SIZE)) {
                        touch(other.buffer(), ksm.pageSize());
                    }
                });
                count("store-close " + backend, () -> {
                    touch(value, ksm.pageSize());
                    pool.store(value.array()).close();
                });
            }
        }
        lookFor(new File(MARKER, LAST));
    }

    /** Makes all pages different, because with merged pages ksm4j checks the headroom before it unmarks. */
    private static void touch(ByteBuffer buffer, long pageSize) {
        for (int at = 0; at < SIZE; at += (int) pageSize) {
            touchedPages++;
            buffer.putLong(at, touchedPages);
        }
    }

    private static void count(String operation, Runnable call) {
        for (int i = 0; i < WARM_UP; i++) {
            call.run();
        }
        File begin = new File(MARKER, "begin " + operation);
        File end = new File(MARKER, "end " + operation);
        for (int round = 0; round < ROUNDS; round++) {
            lookFor(begin);
            long before = THREADS.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < CALLS; i++) {
                call.run();
            }
            long bytes = THREADS.getCurrentThreadAllocatedBytes() - before;
            lookFor(end);
            System.out.println("allocated " + operation + ": " + Math.ceilDiv(bytes, CALLS));
        }
    }

    private static void lookFor(File file) {
        if (file.exists()) {
            throw new IllegalStateException(file + " exists");
        }
    }
}
