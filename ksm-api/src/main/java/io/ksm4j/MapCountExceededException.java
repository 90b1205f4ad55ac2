// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.SystemProperties;

/**
 * Thrown when the process has as many mappings as {@code vm.max_map_count} allows, so that the kernel cannot split
 * another one; or so many that the reserve for the JVM would be used. Retrying does not help: use fewer and larger
 * regions, or raise the limit with {@code sysctl vm.max_map_count=N}.
 *
 * <p>A JVM that cannot map memory dies when it next loads a class, compiles a method or collects garbage. ksm4j
 * therefore keeps 256 mappings free; {@code -Dio.ksm4j.mappingReserve=N} changes that number, and 0 disables the
 * reserve. If the reserve is the reason, no system call was made, and {@link #failedCall()} is empty.
 *
 * @since 0.1.0
 */
public final class MapCountExceededException extends KsmException {

    private static final long serialVersionUID = 1;

    /** The number of mappings of the process. */
    private final long count;

    /** The value of {@code vm.max_map_count}. */
    private final long limit;

    MapCountExceededException(FailedCall failedCall, long count, long limit) {
        super(
                failedCall,
                "the process has " + count + " mappings and vm.max_map_count is " + limit
                        + ": use fewer and larger regions, or raise the limit with sysctl vm.max_map_count="
                        + limit * 4);
        this.count = count;
        this.limit = limit;
    }

    MapCountExceededException(String call, long count, long limit, int reserve) {
        super(call + " was not made: the process has " + count + " mappings, vm.max_map_count is " + limit + ", and "
                + reserve
                + " are reserved for the JVM, which dies if it cannot map memory: use fewer and larger regions, raise"
                + " the limit with sysctl vm.max_map_count=" + limit * 4 + ", or change the reserve with -D"
                + SystemProperties.MAPPING_RESERVE + "=N");
        this.count = count;
        this.limit = limit;
    }

    /** {@return the number of mappings the process had: lines of {@code /proc/self/maps}} */
    public long count() {
        return count;
    }

    /** {@return the maximum number of mappings: {@code /proc/sys/vm/max_map_count}} */
    public long limit() {
        return limit;
    }
}
