// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal;

/**
 * The descriptions of the kernel's numbers, for {@code KsmCounter}, MBeans, JFR events and meters. Constants, because
 * annotations need them.
 */
public final class CounterText {

    // The whole machine.

    public static final String RUN = "State of ksmd: 0 stopped, 1 running, 2 stopped with all pages unmerged";
    public static final String PAGES_TO_SCAN = "Pages that ksmd scans before it sleeps";
    public static final String SLEEP_MILLISECS = "How long ksmd sleeps between two batches of pages";
    public static final String MERGE_ACROSS_NODES = "Whether pages on different NUMA nodes are merged";
    public static final String MAX_PAGE_SHARING = "Maximum number of mappings that share one page";
    public static final String USE_ZERO_PAGES = "Whether zero-filled pages are replaced by the kernel's zero page";
    public static final String SMART_SCAN = "Whether pages that did not merge are skipped for some scans";
    public static final String MAX_KERNEL_PAGES = "Maximum number of merged pages; 0 means no limit";
    public static final String STABLE_NODE_CHAINS_PRUNE_MILLISECS = "How often stale entries are removed from chains";
    public static final String ADVISOR_MAX_CPU = "Maximum share of a CPU that ksmd may use under the advisor";
    public static final String ADVISOR_TARGET_SCAN_TIME = "How long the advisor aims for a full scan to take";
    public static final String ADVISOR_MIN_PAGES_TO_SCAN = "Minimum the advisor chooses for pages_to_scan";
    public static final String ADVISOR_MAX_PAGES_TO_SCAN = "Maximum the advisor chooses for pages_to_scan";

    public static final String PAGES_SHARED = "Page frames that are shared by merged pages";
    public static final String PAGES_SHARING =
            "Further pages that share those page frames, which is the number of pages saved";
    public static final String PAGES_UNSHARED = "Pages that are unique, checked again in each scan";
    public static final String PAGES_VOLATILE = "Pages that change too fast to be merged";
    public static final String KSM_ZERO_PAGES = "Zero-filled pages that were replaced by the kernel's zero page";
    public static final String STABLE_NODE_CHAINS =
            "Contents stored in more than one page frame because of max_page_sharing";
    public static final String STABLE_NODE_DUPS = "Page frames that store the contents of stable_node_chains";
    public static final String GENERAL_PROFIT =
            "What merging saves minus what it costs, as computed by the kernel; may be negative";

    public static final String FULL_SCANS = "Scans of all mergeable memory since the machine started";
    public static final String PAGES_SCANNED = "Pages scanned since the machine started";
    public static final String PAGES_SKIPPED = "Pages skipped by smart_scan since the machine started";
    public static final String COPIES = "Merged pages that had to be copied since the machine started";
    public static final String COW_KSM =
            "Merged pages that were written to, and therefore copied, since the machine started";
    public static final String KSM_SWPIN_COPY =
            "Merged pages that had to be copied when they were swapped in, since the machine started";

    public static final String SAVED_BYTES = "What merging saves, not reduced by what the kernel uses for its records";
    public static final String USED_BYTES = "What the merged pages occupy";
    public static final String RMAP_ITEMS = "Pages that ksmd keeps a record of";
    public static final String PROFIT_BYTES =
            "Saved memory minus 64 bytes for each page that ksmd keeps a record of; may be negative";
    public static final String SHARING_RATIO = "Pages saved for each shared page frame; higher is better";
    public static final String WASTED_EFFORT = "Unique pages for each page saved; a high value indicates wasted scans";
    public static final String VOLATILE_SHARE = "Share of recorded pages that change too fast to be merged";
    public static final String FULL_SCAN_MILLIS =
            "How long ksmd sleeps during a full scan with the current settings, if it skips no pages";

    // One process.

    public static final String PROCESS_RMAP_ITEMS = "Pages of the process that ksmd keeps a record of";
    public static final String PROCESS_PAGES = "Pages of the process that are merged or replaced by the zero page";
    public static final String PROCESS_MERGING_PAGES = "Pages of the process that are merged";
    public static final String PROCESS_ZERO_PAGES =
            "Zero-filled pages of the process that were replaced by the kernel's zero page";
    public static final String PROCESS_PROFIT =
            "What merging this process saves minus what it costs, as computed by the kernel; may be negative";
    public static final String PROCESS_MERGED_BYTES =
            "What the merged pages of the process would occupy if they were not merged";
    public static final String PROCESS_PROFIT_BYTES =
            "Merged memory minus 64 bytes for each page of the process that ksmd keeps a record of; may be negative";

    private CounterText() {}
}
