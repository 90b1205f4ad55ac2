// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.pool;

import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.pool.MergeBlock;
import io.ksm4j.pool.MergePool;
import io.ksm4j.pool.PoolStats;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Pools with a full heap or a full stack. The exit status is 0 if nothing was lost. Needs a heap of a few MiB. */
final class PoolInTrouble {

    private static final int PAGE = (int) Ksm.system().pageSize();
    private static final int REGION = 16 << 20;
    private static final int BLOCKS = REGION / PAGE;

    private static int overflows;
    private static final byte[] ONE = {1};
    private static final MergeBlock[] notClosed = new MergeBlock[1000];
    private static int notClosedCount;

    private PoolInTrouble() {}

    public static void main(String[] args) throws InterruptedException {
        poolsUntilTheHeapIsFull();
        blocksOnAFullHeap();
        blocksAtTheEndOfTheStack();
        System.out.println("nothing was lost");
    }

    private static void check(boolean expected, String what, Object found) {
        if (!expected) {
            System.out.println(what + ": " + found);
            Runtime.getRuntime().halt(1);
        }
    }

    /** The page lists of a large pool take megabytes. */
    private static void poolsUntilTheHeapIsFull() {
        List<MergePool> pools = new ArrayList<>();
        boolean full = false;
        while (!full) {
            try {
                pools.add(MergePool.create(Ksm.system(), 64L << 30));
            } catch (OutOfMemoryError | KsmException e) {
                // The second one where the machine does not allow a process so much memory.
                full = true;
            }
        }
        long regions = pools.stream().mapToLong(pool -> pool.stats().regions()).sum();
        long open = Ksm.system().registry().openRegions();
        pools.forEach(MergePool::close);
        pools.clear();
        check(open == regions, "regions of pools that were not made are open", open - regions);
    }

    private static void blocksOnAFullHeap() {
        try (MergePool pool = MergePool.create(Ksm.system(), REGION)) {
            MergeBlock[] blocks = new MergeBlock[BLOCKS];
            for (int i = 0; i < 200; i++) {
                pool.store(new byte[100]).close();
            }
            int held = 0;
            int failed = 0;
            for (int round = 0; round < 6; round++) {
                Object ballast = fillHeap();
                try {
                    for (int i = 0; i < 40; i++) {
                        try {
                            MergeBlock block = pool.allocate(PAGE);
                            blocks[held] = block;
                            held++;
                        } catch (OutOfMemoryError e) {
                            failed++;
                        }
                        if (i % 3 == 0 && held > 0) {
                            held--;
                            blocks[held].close();
                        }
                    }
                } finally {
                    Reference.reachabilityFence(ballast);
                }
            }
            check(failed > 0, "allocations that failed", failed);
            check(pool.stats().blocks() == held, "with " + held + " blocks", pool.stats());
            for (int i = 0; i < held; i++) {
                blocks[i].close();
            }
            checkEmpty(pool, blocks);
        }
    }

    private static @Nullable Object fillHeap() {
        Object[] head = null;
        for (int length : new int[] {1000, 100, 10, 2, 1}) {
            try {
                while (true) {
                    Object[] next = new Object[length];
                    next[0] = head;
                    head = next;
                }
            } catch (OutOfMemoryError e) {
                // Shorter ones may fit.
            }
        }
        return head;
    }

    private static void blocksAtTheEndOfTheStack() throws InterruptedException {
        try (MergePool pool = MergePool.create(Ksm.system(), REGION)) {
            for (int round = 0; round < 30; round++) {
                Thread thread = new Thread(null, () -> descend(pool), "deep", (256L << 10) + 1024L * round);
                thread.start();
                thread.join();
                for (int i = 0; i < notClosedCount; i++) {
                    notClosed[i].close();
                }
                notClosedCount = 0;
            }
            check(overflows > 0, "overflows", overflows);
            checkEmpty(pool, new MergeBlock[BLOCKS]);
        }
    }

    /**
     * Overflows the stack, and repeats the call on the way back with more and more room. Returns the distance in
     * frames.
     */
    @SuppressWarnings("InfiniteRecursion") // Until the stack overflows.
    private static int descend(MergePool pool) {
        int distance = 0;
        try {
            distance = descend(pool) + 1;
        } catch (StackOverflowError e) {
            overflows++;
        }
        if (distance < 200) {
            MergeBlock block = null;
            try {
                block = pool.allocate(PAGE);
                block.put(0, ONE);
                block.get(0, ByteBuffer.wrap(new byte[1]));
                block.close();
            } catch (StackOverflowError e) {
                overflows++;
                if (block != null) {
                    notClosed[notClosedCount] = block;
                    notClosedCount++;
                }
            }
        }
        return distance;
    }

    private static void checkEmpty(MergePool pool, MergeBlock[] blocks) {
        pool.allocate(0).close();
        PoolStats stats = pool.stats();
        check(stats.usedBytes() == 0 && stats.valueBytes() == 0 && stats.blocks() == 0, "without blocks", stats);
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = pool.allocate(PAGE);
        }
        check(pool.stats().regions() == 1, "pages are missing, since a region was added", pool.stats());
    }
}
