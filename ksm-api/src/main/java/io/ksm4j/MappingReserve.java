// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.SystemProperties;
import io.ksm4j.internal.management.SharedTable;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * Keeps some mappings below {@code vm.max_map_count} free. A JVM that cannot map memory dies when it loads a class,
 * compiles a method or collects garbage, so ksm4j fails before the kernel would.
 *
 * <p>Counting mappings takes milliseconds when there are many. So they are counted only after a quarter of those that
 * were left has been taken: rarely when far from the limit, every time when close to it.
 */
final class MappingReserve {

    private static final int DEFAULT = 256;

    private final ProcSelf proc;
    private final AtomicInteger waitingForViews;
    private final int reserve;

    /** @param waitingForViews how many closed regions keep a mapping until the garbage collector finds their views */
    MappingReserve(ProcSelf proc, AtomicInteger waitingForViews) {
        this.proc = proc;
        this.waitingForViews = waitingForViews;
        this.reserve = Math.max(0, Integer.getInteger(SystemProperties.MAPPING_RESERVE, DEFAULT));
    }

    /**
     * Checks the number of mappings before some are added. The caller owns no region.
     *
     * @param call the call that is about to add them; for the exception
     * @throws MapCountExceededException if fewer than the reserve would be left
     */
    void take(int mappings, String call, @Nullable AddressRange range) {
        AtomicLong uncounted = SharedTable.table().mappingsLeft;
        if (reserve > 0 && uncounted.addAndGet(-mappings) < 0) {
            count(uncounted, mappings, call, range);
        }
    }

    private void count(AtomicLong uncounted, int mappings, String call, @Nullable AddressRange range) {
        OptionalLong limit = proc.maxMapCount();
        if (limit.isEmpty()) {
            uncounted.set(Long.MAX_VALUE / 2);
            return;
        }
        long count = proc.mappingCount();
        long left = limit.getAsLong() - reserve - count - mappings;
        uncounted.set(Math.max(0, left / 4));
        if (left < 0) {
            throw new MapCountExceededException(
                    call + (range == null ? "" : " of " + range), count, limit.getAsLong(), reserve);
        }
        if (left < limit.getAsLong() / 2 && waitingForViews.get() > limit.getAsLong() / 4) {
            // A collection would be needed in any case, and nearer to the limit, mappings are counted ever more often.
            System.gc();
        }
    }
}
