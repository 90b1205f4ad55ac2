package io.ksm4j.samples.cacheserver;

import io.ksm4j.pool.PoolStats;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * What a server holds and has done, at one moment.
 *
 * @param uptimeSeconds since it was ready
 * @param keys of all tenants
 * @param tenants those that hold keys, by index
 * @param hits keys asked for that were there
 * @param misses keys asked for that were not
 * @param commands that were answered, errors included
 * @param evictedKeys that made room for others
 * @param expiredKeys whose time was over
 * @param connectedClients now
 * @param pool what the values' blocks take, before merging
 * @param merging what they take in truth
 * @param ksmd of the whole machine
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
     * @param index from 0
     * @param keys it holds
     * @param valueBytes of their values, without what rounding to whole pages adds
     */
    record Tenant(int index, long keys, long valueBytes) {}

    /**
     * What merging does to the values. At most a few seconds old: one second if somebody asks all the time, ten if nobody has.
     *
     * @param askedBytes of memory that values were written to
     * @param residentBytes what these take: {@code askedBytes} less {@code savedBytes}
     * @param savedBytes what merging saves
     */
    record Merging(long askedBytes, long residentBytes, long savedBytes) {

        static final Merging NONE = new Merging(0, 0, 0);
    }

    /**
     * The kernel's thread. As old as {@link Merging}.
     *
     * @param running whether it merges
     * @param coreShare how much of one core it took since the last look, 0 to 1; empty where it cannot be seen
     * @param fullScans since the machine started; empty without KSM
     * @param pagesSharing how many pages are saved on the whole machine; empty without KSM
     */
    record Ksmd(boolean running, OptionalDouble coreShare, OptionalLong fullScans, OptionalLong pagesSharing) {

        static final Ksmd UNKNOWN = new Ksmd(false, OptionalDouble.empty(), OptionalLong.empty(), OptionalLong.empty());
    }
}
