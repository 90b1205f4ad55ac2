// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.pool.PoolStats;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * The contents and counters of a server at one moment.
 *
 * @param uptimeSeconds seconds since the server was ready
 * @param keys the number of keys of all tenants
 * @param tenants the tenants that have keys, by index
 * @param hits reads of keys that were present
 * @param misses reads of keys that were not present
 * @param commands commands that were answered, including errors
 * @param evictedKeys keys that were evicted to make room for others
 * @param expiredKeys keys that have expired
 * @param connectedClients the number of connected clients
 * @param pool the memory of the values' blocks before merging
 * @param merging the memory of the values after merging
 * @param ksmd the state of {@code ksmd}, for the whole machine
 */
record Snapshot(
        long uptimeSeconds,
        long keys,
        List<Tenant> tenants,
        long hits,
        long misses,
        long commands,
        long evictedKeys,
        long expiredKeys,
        int connectedClients,
        PoolStats pool,
        Merging merging,
        Ksmd ksmd) {

    /**
     * A database of {@code SELECT}.
     *
     * @param index the index, from 0
     * @param keys the number of keys
     * @param valueBytes the bytes of their values, not rounded to whole pages
     */
    record Tenant(int index, long keys, long valueBytes) {}

    /**
     * The effect of merging on the values. At most a second old if it is requested continuously, otherwise up to ten
     * seconds.
     *
     * @param requestedBytes the bytes of memory that values were written to
     * @param residentBytes the memory they use: {@code requestedBytes} less {@code savedBytes}
     * @param savedBytes the memory saved by merging
     */
    record Merging(long requestedBytes, long residentBytes, long savedBytes) {

        static final Merging NONE = new Merging(0, 0, 0);
    }

    /**
     * The state of {@code ksmd}. As old as {@link Merging}.
     *
     * @param running whether it is running
     * @param coreShare the share of a core that it used since the last sample, 0 to 1; empty if it is not visible
     * @param fullScans full scans since the machine started; empty without KSM
     * @param pagesSharing pages saved on the whole machine; empty without KSM
     */
    record Ksmd(boolean running, OptionalDouble coreShare, OptionalLong fullScans, OptionalLong pagesSharing) {

        static final Ksmd UNKNOWN = new Ksmd(false, OptionalDouble.empty(), OptionalLong.empty(), OptionalLong.empty());
    }
}
