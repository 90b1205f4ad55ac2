// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.pool.PoolStats;
import java.util.List;

/** Snapshots for tests. */
final class Snapshots {

    /** The snapshot of an unused server on a kernel without KSM. */
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
            new PoolStats(1L << 30, 0, 0, 0, 0, 0, 0, 0, 0, 0),
            Snapshot.Merging.NONE,
            Snapshot.Ksmd.UNKNOWN);

    private Snapshots() {}
}
