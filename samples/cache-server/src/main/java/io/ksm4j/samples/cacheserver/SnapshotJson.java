// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.pool.PoolStats;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.stream.Collectors;

/** Formats snapshots as JSON. No library is needed, because the values are only numbers, booleans and null. */
final class SnapshotJson {

    private SnapshotJson() {}

    /** Returns a whole snapshot, with the names of the record components. */
    static String snapshot(Snapshot snapshot, long timeMillis) {
        PoolStats pool = snapshot.pool();
        Snapshot.Ksmd ksmd = snapshot.ksmd();
        return object(
                "\"time\":" + timeMillis,
                "\"uptimeSeconds\":" + snapshot.uptimeSeconds(),
                "\"keys\":" + snapshot.keys(),
                "\"tenants\":"
                        + snapshot.tenants().stream()
                                .map(SnapshotJson::tenant)
                                .collect(Collectors.joining(",", "[", "]")),
                reads(snapshot),
                "\"commands\":" + snapshot.commands(),
                "\"evictedKeys\":" + snapshot.evictedKeys(),
                "\"expiredKeys\":" + snapshot.expiredKeys(),
                "\"connectedClients\":" + snapshot.connectedClients(),
                "\"pool\":"
                        + object(
                                "\"capacityBytes\":" + pool.capacityBytes(),
                                "\"usedBytes\":" + pool.usedBytes(),
                                "\"logicalBytes\":" + pool.logicalBytes(),
                                "\"sharedStores\":" + pool.sharedStores(),
                                "\"retainedBytes\":" + pool.retainedBytes(),
                                "\"indexBytes\":" + pool.indexBytes(),
                                "\"valueBytes\":" + pool.valueBytes(),
                                "\"wastedBytes\":" + pool.wastedBytes()),
                "\"merging\":" + object(merging(snapshot)),
                "\"ksmd\":"
                        + object(
                                "\"running\":" + ksmd.running(),
                                coreShare(snapshot),
                                "\"fullScans\":" + orNull(ksmd.fullScans()),
                                "\"pagesSharing\":" + orNull(ksmd.pagesSharing())));
    }

    /** Returns the part of a snapshot that the plots show. */
    static String point(Snapshot snapshot, long timeMillis) {
        return object("\"time\":" + timeMillis, merging(snapshot), coreShare(snapshot), reads(snapshot));
    }

    private static String tenant(Snapshot.Tenant tenant) {
        return object(
                "\"index\":" + tenant.index(), "\"keys\":" + tenant.keys(), "\"valueBytes\":" + tenant.valueBytes());
    }

    private static String merging(Snapshot snapshot) {
        Snapshot.Merging merging = snapshot.merging();
        return "\"requestedBytes\":" + merging.requestedBytes() + ",\"residentBytes\":" + merging.residentBytes()
                + ",\"savedBytes\":" + merging.savedBytes();
    }

    private static String reads(Snapshot snapshot) {
        return "\"hits\":" + snapshot.hits() + ",\"misses\":" + snapshot.misses();
    }

    private static String coreShare(Snapshot snapshot) {
        OptionalDouble share = snapshot.ksmd().coreShare();
        return "\"coreShare\":"
                + (share.isPresent() ? String.format(Locale.ROOT, "%.4f", share.getAsDouble()) : "null");
    }

    private static String orNull(OptionalLong number) {
        return number.isPresent() ? Long.toString(number.getAsLong()) : "null";
    }

    private static String object(String... members) {
        return "{" + String.join(",", members) + "}";
    }
}
