package io.ksm4j;

/**
 * The process has as many mappings as {@code vm.max_map_count} allows, so the kernel cannot split another one. Trying again
 * does not help: use fewer and larger regions, or raise the limit with {@code sysctl vm.max_map_count=N}.
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
