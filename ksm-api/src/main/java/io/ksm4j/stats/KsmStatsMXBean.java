// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import org.jspecify.annotations.Nullable;

/**
 * {@link KsmStats} of this machine for JConsole and other JMX clients, under the object name {@value #OBJECT_NAME}.
 * Registered shortly after the first use of ksm4j, unless {@code -Dio.ksm4j.jmx=false} is set.
 *
 * <p>Values that this kernel does not provide are null, never 0. Reading one attribute reads all files;
 * {@code getAttributes} reads them once for all requested attributes, so that the values are consistent. Reading an
 * attribute fails like {@link KsmStats#read()}.
 *
 * @since 0.1.0
 */
public interface KsmStatsMXBean {

    /** The object name in the platform MBean server. */
    String OBJECT_NAME = "io.ksm4j:type=KsmStats";

    /** {@return the value of {@link KsmStats#isAvailable}} */
    @Meaning(
            value = "Whether /sys/kernel/mm/ksm can be read; if not, the values of its files are null",
            units = "true or false")
    boolean isAvailable();

    /** {@return the value of {@link KsmStats#run}; null if it is absent} */
    @Meaning(value = "The state of ksmd: 0 stopped, 1 merging, 2 stopped with all pages unmerged", units = "0 to 2")
    @Nullable
    Long getRun();

    /** {@return the value of {@link KsmStats#pagesToScan}; null if it is absent} */
    @Meaning(value = "Pages that ksmd scans before it sleeps", units = "pages")
    @Nullable
    Long getPagesToScan();

    /** {@return the value of {@link KsmStats#sleepMillisecs}; null if it is absent} */
    @Meaning(value = "How long ksmd sleeps after scanning PagesToScan pages", units = "ms")
    @Nullable
    Long getSleepMillisecs();

    /** {@return the value of {@link KsmStats#mergeAcrossNodes}; null if it is absent} */
    @Meaning(value = "Whether pages on different NUMA nodes are merged", units = "0 or 1")
    @Nullable
    Long getMergeAcrossNodes();

    /** {@return the value of {@link KsmStats#maxPageSharing}; null if it is absent} */
    @Meaning(value = "Maximum number of mappings that share one page", units = "mappings")
    @Nullable
    Long getMaxPageSharing();

    /** {@return the value of {@link KsmStats#useZeroPages}; null if it is absent} */
    @Meaning(value = "Whether zero-filled pages are replaced by the kernel's zero page", units = "0 or 1")
    @Nullable
    Long getUseZeroPages();

    /** {@return the value of {@link KsmStats#smartScan}; null if it is absent} */
    @Meaning(value = "Whether pages that did not merge are skipped for some scans", units = "0 or 1")
    @Nullable
    Long getSmartScan();

    /** {@return the value of {@link KsmStats#maxKernelPages}; null if it is absent} */
    @Meaning(value = "Maximum number of merged pages (Linux 2.6.32 only); 0 means no limit", units = "pages")
    @Nullable
    Long getMaxKernelPages();

    /** {@return the value of {@link KsmStats#stableNodeChainsPruneMillisecs}; null if it is absent} */
    @Meaning(value = "How often stale entries are removed from chains", units = "ms")
    @Nullable
    Long getStableNodeChainsPruneMillisecs();

    /** {@return the value of {@link KsmStats#advisorMode}; null if it is absent} */
    @Meaning(value = "What chooses PagesToScan", units = "none or scan-time")
    @Nullable
    String getAdvisorMode();

    /** {@return the value of {@link KsmStats#advisorMaxCpu}; null if it is absent} */
    @Meaning(value = "Maximum share of a CPU that ksmd may use under the advisor", units = "%")
    @Nullable
    Long getAdvisorMaxCpu();

    /** {@return the value of {@link KsmStats#advisorTargetScanTime}; null if it is absent} */
    @Meaning(value = "How long the advisor aims for a full scan to take", units = "s")
    @Nullable
    Long getAdvisorTargetScanTime();

    /** {@return the value of {@link KsmStats#advisorMinPagesToScan}; null if it is absent} */
    @Meaning(value = "Minimum the advisor chooses for PagesToScan", units = "pages")
    @Nullable
    Long getAdvisorMinPagesToScan();

    /** {@return the value of {@link KsmStats#advisorMaxPagesToScan}; null if it is absent} */
    @Meaning(value = "Maximum the advisor chooses for PagesToScan", units = "pages")
    @Nullable
    Long getAdvisorMaxPagesToScan();

    /** {@return the value of {@link KsmStats#pagesShared}; null if it is absent} */
    @Meaning(value = "Page frames that are shared by merged pages", units = "pages")
    @Nullable
    Long getPagesShared();

    /** {@return the value of {@link KsmStats#pagesSharing}; null if it is absent} */
    @Meaning(value = "Further pages that share those page frames, which is the number of pages saved", units = "pages")
    @Nullable
    Long getPagesSharing();

    /** {@return the value of {@link KsmStats#pagesUnshared}; null if it is absent} */
    @Meaning(value = "Pages that are unique, checked again in each scan", units = "pages")
    @Nullable
    Long getPagesUnshared();

    /** {@return the value of {@link KsmStats#pagesVolatile}; null if it is absent} */
    @Meaning(value = "Pages that change too fast to be merged", units = "pages")
    @Nullable
    Long getPagesVolatile();

    /** {@return the value of {@link KsmStats#pagesScanned}; null if it is absent} */
    @Meaning(value = "Pages scanned since the machine started", units = "pages")
    @Nullable
    Long getPagesScanned();

    /** {@return the value of {@link KsmStats#pagesSkipped}; null if it is absent} */
    @Meaning(value = "Pages skipped by smart scan since the machine started", units = "pages")
    @Nullable
    Long getPagesSkipped();

    /** {@return the value of {@link KsmStats#fullScans}; null if it is absent} */
    @Meaning(value = "How often all mergeable memory was scanned since the machine started", units = "scans")
    @Nullable
    Long getFullScans();

    /** {@return the value of {@link KsmStats#stableNodeChains}; null if it is absent} */
    @Meaning(value = "Contents stored in more than one page frame because of MaxPageSharing", units = "chains")
    @Nullable
    Long getStableNodeChains();

    /** {@return the value of {@link KsmStats#stableNodeDups}; null if it is absent} */
    @Meaning(value = "Page frames that store those contents", units = "pages")
    @Nullable
    Long getStableNodeDups();

    /** {@return the value of {@link KsmStats#ksmZeroPages}; null if it is absent} */
    @Meaning(value = "Zero-filled pages that were replaced by the kernel's zero page", units = "pages")
    @Nullable
    Long getKsmZeroPages();

    /** {@return the value of {@link KsmStats#generalProfit}; null if it is absent} */
    @Meaning(
            value = "What merging saves minus what it costs, as computed by the kernel; may be negative",
            units = "bytes")
    @Nullable
    Long getGeneralProfit();

    /** {@return the value of {@link KsmStats#cowKsm}; null if it is absent} */
    @Meaning(
            value = "Merged pages that were written to, and therefore copied, since the machine started",
            units = "pages")
    @Nullable
    Long getCowKsm();

    /** {@return the value of {@link KsmStats#ksmSwpinCopy}; null if it is absent} */
    @Meaning(
            value = "Merged pages that had to be copied when they were swapped in, since the machine started",
            units = "pages")
    @Nullable
    Long getKsmSwpinCopy();

    /** {@return the value of {@link KsmStats#savedBytes}; null if it is absent} */
    @Meaning(value = "What merging saves, not reduced by what the kernel uses for its records", units = "bytes")
    @Nullable
    Long getSavedBytes();

    /** {@return the value of {@link KsmStats#usedBytes}; null if it is absent} */
    @Meaning(value = "What the merged pages occupy", units = "bytes")
    @Nullable
    Long getUsedBytes();

    /** {@return the value of {@link KsmStats#rmapItems}; null if it is absent} */
    @Meaning(value = "Pages that ksmd keeps a record of", units = "pages")
    @Nullable
    Long getRmapItems();

    /** {@return the value of {@link KsmStats#profitBytes}; null if it is absent} */
    @Meaning(value = "SavedBytes minus 64 bytes for each of RmapItems; may be negative", units = "bytes")
    @Nullable
    Long getProfitBytes();

    /** {@return the value of {@link KsmStats#sharingRatio}; null if it is absent} */
    @Meaning(value = "PagesSharing / PagesShared; higher is better", units = "ratio")
    @Nullable
    Double getSharingRatio();

    /** {@return the value of {@link KsmStats#wastedEffort}; null if it is absent} */
    @Meaning(value = "PagesUnshared / PagesSharing; a high value indicates wasted scanning", units = "ratio")
    @Nullable
    Double getWastedEffort();

    /** {@return the value of {@link KsmStats#volatileShare}; null if it is absent} */
    @Meaning(value = "PagesVolatile / RmapItems", units = "ratio")
    @Nullable
    Double getVolatileShare();

    /** {@return the value of {@link KsmStats#fullScanTime}, in milliseconds; null if it is absent} */
    @Meaning(
            value = "How long ksmd sleeps during a full scan with the current settings, if it skips no pages",
            units = "ms")
    @Nullable
    Long getFullScanMillis();
}
