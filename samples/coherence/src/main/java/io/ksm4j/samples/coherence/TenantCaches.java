// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.coherence;

import com.tangosol.net.CacheFactory;
import com.tangosol.net.Member;
import com.tangosol.net.NamedCache;
import com.tangosol.net.PartitionedService;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;

/**
 * The caches of all tenants, each with the same entries. They belong to one service, so that equal keys are in the same
 * partition, whatever the cache: the member that owns the partition gets the equal values of all tenants.
 */
final class TenantCaches {

    private static final int BATCH = 100;
    private static final int BACKUP = 1;

    private final List<NamedCache<Integer, byte[]>> caches = new ArrayList<>();
    private final int keys;
    private final int size;

    TenantCaches(int tenants, int keys, int size) {
        this.keys = keys;
        this.size = size;
        for (int tenant = 1; tenant <= tenants; tenant++) {
            caches.add(CacheFactory.getCache("tenant-" + tenant));
        }
    }

    /** Returns the value of a key: random bytes, the same in each call. */
    private byte[] value(int key) {
        byte[] value = new byte[size];
        new Random(key).nextBytes(value);
        return value;
    }

    long entries() {
        return (long) caches.size() * keys;
    }

    /** Stores all entries. */
    void load() {
        for (int from = 0; from < keys; from += BATCH) {
            Map<Integer, byte[]> batch = batch(from);
            caches.forEach(cache -> cache.putAll(batch));
        }
    }

    /** {@return how many entries have their value} */
    long countRight() {
        long right = 0;
        for (int from = 0; from < keys; from += BATCH) {
            Map<Integer, byte[]> batch = batch(from);
            for (NamedCache<Integer, byte[]> cache : caches) {
                Map<Integer, byte[]> found = cache.getAll(batch.keySet());
                right += batch.entrySet().stream()
                        .filter(entry -> Arrays.equals(entry.getValue(), found.get(entry.getKey())))
                        .count();
            }
        }
        return right;
    }

    private Map<Integer, byte[]> batch(int from) {
        Map<Integer, byte[]> batch = new TreeMap<>();
        for (int key = from; key < Math.min(keys, from + BATCH); key++) {
            batch.put(key, value(key));
        }
        return batch;
    }

    /** {@return whether so many members own all partitions, and each has a backup in another member} */
    boolean areSafeIn(int members) {
        PartitionedService service = (PartitionedService) caches.get(0).getCacheService();
        Set<Member> owners = new HashSet<>();
        for (int partition = 0; partition < service.getPartitionCount(); partition++) {
            Member owner = service.getPartitionOwner(partition);
            Member backup = service.getBackupOwner(partition, BACKUP);
            if (owner == null || (members > 1 && (backup == null || backup.equals(owner)))) {
                return false;
            }
            owners.add(owner);
        }
        return owners.size() == members;
    }
}
