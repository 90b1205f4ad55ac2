// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

/**
 * How a {@link MergePool} places values in pages.
 *
 * @since 0.1.0
 */
public enum Layout {
    /**
     * Each value starts on a page boundary, and the rest of its last page is zero. Equal values have equal pages, which
     * the kernel can merge with those of other processes.
     */
    PAGES,
    /**
     * What does not fill a page is placed beside other values. It is rounded up to a multiple of 16 bytes, by an eighth
     * at most, and then as far as the number of such pieces in a page allows, such as to a half or a third of a page.
     * For small values where merging with other processes is not wanted: the regions are not marked mergeable. Values
     * are shared within the pool if it deduplicates. The capacity is at most 32 GiB with pages of 4 to 64 KiB.
     */
    PACKED
}
