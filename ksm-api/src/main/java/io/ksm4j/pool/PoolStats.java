// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

/**
 * What a {@link MergePool} contains. The values are read one after the other, so changes by other threads may make them
 * inconsistent with each other.
 *
 * @param capacityBytes the maximum of {@code usedBytes}
 * @param usedBytes the size of all pages of open blocks in bytes, before {@code ksmd} merges them. A page that blocks
 *     share counts once
 * @param logicalBytes what {@code usedBytes} would be if no page were shared by blocks
 * @param valueBytes the requested size of the open blocks: {@code logicalBytes} without the unused ends of last pages
 * @param blocks the number of open blocks
 * @param sharedStores how many pages of values were in the pool already when they were stored, since the pool was
 *     created or cleared
 * @param retainedBytes the size of free pages that the pool keeps for the next blocks instead of returning them to the
 *     kernel
 * @param indexBytes the heap memory that finding equal pages takes, in bytes; without the blocks
 * @param regions the number of regions that hold the blocks
 * @param addressBytes the address space of these regions; parts without blocks use no memory
 * @since 0.1.0
 */
public record PoolStats(
        long capacityBytes,
        long usedBytes,
        long logicalBytes,
        long valueBytes,
        long blocks,
        long sharedStores,
        long retainedBytes,
        long indexBytes,
        int regions,
        long addressBytes) {

    /**
     * Returns how much memory rounding up to whole pages would waste if nothing were shared.
     *
     * @return the unused ends of last pages, in bytes
     */
    public long wastedBytes() {
        return logicalBytes - valueBytes;
    }

    /**
     * Returns how much memory the pool saves by sharing pages. What {@code ksmd} merges is not included; see
     * {@link MergePool#mergeStats}.
     *
     * @return bytes; 0 if pages that are divided among small values have more free room than is shared
     */
    public long sharedBytes() {
        return Math.max(0, logicalBytes - usedBytes);
    }
}
