package io.ksm4j.samples.cacheserver;

import io.ksm4j.pool.PoolStats;
import java.util.List;

/** Snapshots for tests. */
final class Snapshots {

    /** Of a server that nobody has used, where the kernel tells nothing. */
    static final Snapshot EMPTY = new Snapshot(
            0,
            0,
            List.of(),
            0,
            0,
            0,
            0,
            0,
            0,
            new PoolStats(1L << 30, 0, 0, 0, 0, 0),
            Snapshot.Merging.NONE,
            Snapshot.Ksmd.UNKNOWN);

    private Snapshots() {}
}
