package io.ksm4j.pool;

/**
 * What a {@link MergePool} holds. The numbers are read one after the other while other threads go on.
 *
 * @param capacityBytes the most that blocks may take, in bytes of whole pages
 * @param usedBytes what the open blocks take, in bytes of whole pages; before merging
 * @param valueBytes what was asked for in them: {@code usedBytes} without the empty ends of last pages
 * @param blocks open blocks
 * @param regions the mappings that the blocks stand in
 * @param addressBytes the address space of these mappings, which takes no memory where no block is; may be more than the capacity
 */
public record PoolStats(
        long capacityBytes, long usedBytes, long valueBytes, long blocks, int regions, long addressBytes) {

    /**
     * What rounding up to whole pages wastes, if nothing merges.
     *
     * @return bytes of empty ends of last pages
     */
    public long wastedBytes() {
        return usedBytes - valueBytes;
    }
}
