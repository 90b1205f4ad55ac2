// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.Ksm;
import io.ksm4j.RegionOptions;
import org.jspecify.annotations.Nullable;

/**
 * What a pool was built with. Cleared pools are rebuilt with the same.
 *
 * @param hash null if the pool does not deduplicate
 * @param pad the pad of the domain; null if pages are stored as they are
 */
record PoolSettings(
        Ksm ksm,
        long capacityBytes,
        RegionOptions options,
        @Nullable ContentHash hash,
        @Nullable Pad pad,
        boolean isPacked,
        double retainedShare) {

    int pageSize() {
        return (int) ksm.pageSize();
    }
}
