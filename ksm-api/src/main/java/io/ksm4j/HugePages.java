// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

/**
 * Whether the kernel may back a region with transparent huge pages.
 *
 * <p>KSM merges small pages only: {@code ksmd} splits a huge page when one of its small pages equals another page. If
 * few of them do, {@code khugepaged} later collapses them into a huge page again, which unmerges them; if more do than
 * {@code max_ptes_shared} allows, it leaves them alone. Use {@link #AVOID} for regions that are meant to merge. See <a
 * href="https://docs.kernel.org/admin-guide/mm/transhuge.html">Transparent Hugepage Support</a>.
 *
 * @since 0.1.0
 */
public enum HugePages {
    /** Follows the setting in {@code /sys/kernel/mm/transparent_hugepage/enabled}. */
    SYSTEM_DEFAULT,
    /**
     * Uses {@code madvise(MADV_HUGEPAGE)}: fewer page faults and TLB misses, as long as merging does not split the
     * pages.
     */
    ALLOW,
    /** Uses {@code madvise(MADV_NOHUGEPAGE)}: pages are small from the start, so merging does not have to split any. */
    AVOID
}
