package io.ksm4j;

/**
 * Whether the kernel may back a region with transparent huge pages. It merges small pages only: {@code ksmd} splits a huge
 * page when it finds an equal partner for one of the small pages in it. Where few of them found one, {@code khugepaged} makes a
 * huge page of them again and takes the merged ones apart; where more did than {@code max_ptes_shared} allows, it leaves
 * them. So a region that is to merge should {@link #AVOID} huge pages. See
 * <a href="https://docs.kernel.org/admin-guide/mm/transhuge.html">transhuge</a>.
 */
public enum HugePages {
    /** As {@code /sys/kernel/mm/transparent_hugepage/enabled} says. */
    SYSTEM_DEFAULT,
    /** {@code madvise(MADV_HUGEPAGE)}: fewer page faults and TLB misses, where merging does not split the pages. */
    ALLOW,
    /** {@code madvise(MADV_NOHUGEPAGE)}: pages are small from the start, and merging splits nothing. */
    AVOID
}
