// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.Ksm;
import io.ksm4j.RegionOptions;
import io.ksm4j.pool.Deduplication;
import io.ksm4j.pool.Layout;
import io.ksm4j.pool.MergeDomain;
import io.ksm4j.pool.MergePool;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Opens the pools of the tenants: two for each secret, and two for all tenants without a secret. Values below a page
 * are packed, because most of a page would be unused; all others have whole pages, which the kernel can merge with
 * those of other processes.
 *
 * @param ksm allocates the memory
 * @param capacityBytes the maximum size of all pools together, which the store enforces; each pool could have it alone
 * @param domains the domains of tenants with a secret, by number
 */
record TenantPools(
        Ksm ksm,
        long capacityBytes,
        RegionOptions options,
        Deduplication deduplication,
        int tenants,
        Map<Integer, MergeDomain> domains)
        implements AutoCloseable {

    /** Free pages that stay with the pools. Values come and go, but seldom by more than this at a time. */
    private static final double RETAINED = 1.0 / 32;

    /** The limit of {@link Layout#PACKED}. */
    private static final long MAX_PACKED_BYTES = 32L << 30;

    TenantPools {
        domains = Map.copyOf(domains);
        capacityBytes = capacityBytes / ksm.pageSize() * ksm.pageSize();
    }

    long pageSize() {
        return ksm.pageSize();
    }

    /** The pools of a tenant: for values below a page, and for all others. */
    record Pools(MergePool small, MergePool large, long pageSize) {

        MergePool forValue(long bytes) {
            return bytes < pageSize ? small : large;
        }

        Stream<MergePool> stream() {
            return Stream.of(small, large);
        }
    }

    /** Returns the new pools by tenant. */
    List<Pools> open() {
        Map<MergeDomain, Pools> pools = new HashMap<>();
        boolean done = false;
        try {
            List<Pools> byTenant = new ArrayList<>();
            for (int tenant = 0; tenant < tenants; tenant++) {
                MergeDomain domain = domains.getOrDefault(tenant, MergeDomain.everybody());
                byTenant.add(pools.computeIfAbsent(domain, this::open));
            }
            done = true;
            return byTenant;
        } finally {
            if (!done) {
                pools.values().forEach(both -> both.stream().forEach(MergePool::close));
            }
        }
    }

    private Pools open(MergeDomain domain) {
        MergePool small = open(domain, Layout.PACKED, Math.min(capacityBytes, MAX_PACKED_BYTES));
        boolean done = false;
        try {
            Pools both = new Pools(small, open(domain, Layout.PAGES, capacityBytes), pageSize());
            done = true;
            return both;
        } finally {
            if (!done) {
                small.close();
            }
        }
    }

    private MergePool open(MergeDomain domain, Layout layout, long capacity) {
        return MergePool.builder(ksm, capacity)
                .options(options)
                .deduplication(deduplication)
                .domain(domain)
                .layout(layout)
                .retainedShare(RETAINED)
                .build();
    }

    /** Clears the secrets. */
    @Override
    public void close() {
        domains.values().forEach(MergeDomain::close);
    }
}
