package io.ksm4j;

import io.ksm4j.internal.SystemProperties;

/**
 * The process has as many mappings as {@code vm.max_map_count} allows, so the kernel cannot split another one; or as many as leave the JVM
 * a reserve. Trying again does not help: use fewer and larger regions, or raise the limit with {@code sysctl vm.max_map_count=N}.
 *
 * <p>A JVM that cannot map memory dies when it next loads a class, compiles a method or collects garbage. So ksm4j keeps 256 mappings
 * free; {@code -Dio.ksm4j.mappingReserve=N} sets another number, 0 none. {@link #failedCall()} is empty where no call was made for that reason.
 */
public final class MapCountExceededException extends KsmException {

    private static final long serialVersionUID = 1;

    /** Mappings of the process. */
    private final long count;

    /** The limit. */
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
                + " are kept for the JVM, which dies without: use fewer and larger regions, raise the limit with"
                + " sysctl vm.max_map_count=" + limit * 4 + ", or keep fewer with -D" + SystemProperties.MAPPING_RESERVE
                + "=N");
        this.count = count;
        this.limit = limit;
    }

    /**
     * How many mappings the process had.
     *
     * @return lines of {@code /proc/self/maps}
     */
    public long count() {
        return count;
    }

    /**
     * How many it may have.
     *
     * @return {@code /proc/sys/vm/max_map_count}
     */
    public long limit() {
        return limit;
    }
}
