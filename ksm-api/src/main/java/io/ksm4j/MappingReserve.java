package io.ksm4j;

import io.ksm4j.internal.SystemProperties;
import io.ksm4j.internal.management.SharedTable;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * Keeps some mappings of {@code vm.max_map_count} free. A JVM that cannot map memory any more dies: where it loads a class, compiles a method or collects
 * garbage. So ksm4j fails before the kernel would.
 *
 * <p>Counting mappings takes milliseconds when there are many. So a quarter of those that are left is given out without a look, and then they are
 * counted again: far from the limit seldom, near it each time.
 */
final class MappingReserve {

    private static final int DEFAULT = 256;

    private final ProcSelf proc;
    private final int kept;

    MappingReserve(ProcSelf proc) {
        this.proc = proc;
        this.kept = Math.max(0, Integer.getInteger(SystemProperties.MAPPING_RESERVE, DEFAULT));
    }

    /**
     * Before mappings are added. The caller owns no region.
     *
     * @param call what is going to add them
     * @throws MapCountExceededException if fewer would be left than are to be kept
     */
    void take(int mappings, String call, @Nullable AddressRange range) {
        AtomicLong unlooked = SharedTable.table().mappingsLeft;
        if (kept > 0 && unlooked.addAndGet(-mappings) < 0) {
            count(unlooked, mappings, call, range);
        }
    }

    private void count(AtomicLong unlooked, int mappings, String call, @Nullable AddressRange range) {
        OptionalLong limit = proc.maxMapCount();
        if (limit.isEmpty()) {
            unlooked.set(Long.MAX_VALUE / 2);
            return;
        }
        long count = proc.mappingCount();
        long left = limit.getAsLong() - kept - count - mappings;
        unlooked.set(Math.max(0, left / 4));
        if (left < 0) {
            throw new MapCountExceededException(
                    call + (range == null ? "" : " of " + range), count, limit.getAsLong(), kept);
        }
    }
}
