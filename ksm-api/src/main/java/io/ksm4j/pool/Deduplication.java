// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

/**
 * When equal pages of a {@link MergePool} share memory.
 *
 * @since 0.1.0
 */
public enum Deduplication {
    /** Every value has pages of its own. Only {@code ksmd} merges equal pages, later, if it runs. */
    NONE,
    /**
     * A value that is stored shares the pages that the pool contains already. Needs no support by the kernel. What
     * other processes store is merged by {@code ksmd}.
     */
    ON_STORE
}
