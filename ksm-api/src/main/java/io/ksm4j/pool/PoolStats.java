// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

/**
 * What a {@link MergePool} contains. The values are read one after the other, so changes by other threads may make them
 * inconsistent with each other.
 *
 * @param capacityBytes the maximum size of all blocks together, in bytes of whole pages
 * @param usedBytes the size of the open blocks in bytes of whole pages, before merging
 * @param valueBytes the requested size of the open blocks: {@code usedBytes} without the unused ends of last pages
 * @param blocks the number of open blocks
 * @param regions the number of regions that hold the blocks
 * @param addressBytes the address space of these regions. It may exceed the capacity; parts without blocks use no
 *     memory
 * @since 0.1.0
 */
public record PoolStats(
        long capacityBytes, long usedBytes, long valueBytes, long blocks, int regions, long addressBytes) {

    /**
     * Returns how much memory rounding up to whole pages wastes if nothing merges.
     *
     * @return the unused ends of last pages, in bytes
     */
    public long wastedBytes() {
        return usedBytes - valueBytes;
    }
}
