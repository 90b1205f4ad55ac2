// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import io.ksm4j.internal.CounterText;
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
@SuppressWarnings("exports") // The compiler replaces the constants by their values.
public interface KsmStatsMXBean {

    /** The object name in the platform MBean server. */
    String OBJECT_NAME = "io.ksm4j:type=KsmStats";

    /** {@return the value of {@link KsmStats#isAvailable}} */
    @Meaning(
            value = "Whether /sys/kernel/mm/ksm can be read; if not, the values of its files are null",
            units = "true or false")
    boolean isAvailable();

    /** {@return the value of {@link KsmStats#run}; null if it is absent} */
    @Meaning(value = CounterText.RUN, units = "0 to 2")
    @Nullable
    Long getRun();

    /** {@return the value of {@link KsmStats#pagesToScan}; null if it is absent} */
    @Meaning(value = CounterText.PAGES_TO_SCAN, units = "pages")
    @Nullable
    Long getPagesToScan();

    /** {@return the value of {@link KsmStats#sleepMillisecs}; null if it is absent} */
    @Meaning(value = CounterText.SLEEP_MILLISECS, units = "ms")
    @Nullable
    Long getSleepMillisecs();

    /** {@return the value of {@link KsmStats#mergeAcrossNodes}; null if it is absent} */
    @Meaning(value = CounterText.MERGE_ACROSS_NODES, units = "0 or 1")
    @Nullable
    Long getMergeAcrossNodes();

    /** {@return the value of {@link KsmStats#maxPageSharing}; null if it is absent} */
    @Meaning(value = CounterText.MAX_PAGE_SHARING, units = "mappings")
    @Nullable
    Long getMaxPageSharing();

    /** {@return the value of {@link KsmStats#useZeroPages}; null if it is absent} */
    @Meaning(value = CounterText.USE_ZERO_PAGES, units = "0 or 1")
    @Nullable
    Long getUseZeroPages();

    /** {@return the value of {@link KsmStats#smartScan}; null if it is absent} */
    @Meaning(value = CounterText.SMART_SCAN, units = "0 or 1")
    @Nullable
    Long getSmartScan();

    /** {@return the value of {@link KsmStats#maxKernelPages}; null if it is absent} */
    @Meaning(value = CounterText.MAX_KERNEL_PAGES, units = "pages")
    @Nullable
    Long getMaxKernelPages();

    /** {@return the value of {@link KsmStats#stableNodeChainsPruneMillisecs}; null if it is absent} */
    @Meaning(value = CounterText.STABLE_NODE_CHAINS_PRUNE_MILLISECS, units = "ms")
    @Nullable
    Long getStableNodeChainsPruneMillisecs();

    /** {@return the value of {@link KsmStats#advisorMode}; null if it is absent} */
    @Meaning(value = "What chooses PagesToScan", units = "none or scan-time")
    @Nullable
    String getAdvisorMode();

    /** {@return the value of {@link KsmStats#advisorMaxCpu}; null if it is absent} */
    @Meaning(value = CounterText.ADVISOR_MAX_CPU, units = "%")
    @Nullable
    Long getAdvisorMaxCpu();

    /** {@return the value of {@link KsmStats#advisorTargetScanTime}; null if it is absent} */
    @Meaning(value = CounterText.ADVISOR_TARGET_SCAN_TIME, units = "s")
    @Nullable
    Long getAdvisorTargetScanTime();

    /** {@return the value of {@link KsmStats#advisorMinPagesToScan}; null if it is absent} */
    @Meaning(value = CounterText.ADVISOR_MIN_PAGES_TO_SCAN, units = "pages")
    @Nullable
    Long getAdvisorMinPagesToScan();

    /** {@return the value of {@link KsmStats#advisorMaxPagesToScan}; null if it is absent} */
    @Meaning(value = CounterText.ADVISOR_MAX_PAGES_TO_SCAN, units = "pages")
    @Nullable
    Long getAdvisorMaxPagesToScan();

    /** {@return the value of {@link KsmStats#pagesShared}; null if it is absent} */
    @Meaning(value = CounterText.PAGES_SHARED, units = "pages")
    @Nullable
    Long getPagesShared();

    /** {@return the value of {@link KsmStats#pagesSharing}; null if it is absent} */
    @Meaning(value = CounterText.PAGES_SHARING, units = "pages")
    @Nullable
    Long getPagesSharing();

    /** {@return the value of {@link KsmStats#pagesUnshared}; null if it is absent} */
    @Meaning(value = CounterText.PAGES_UNSHARED, units = "pages")
    @Nullable
    Long getPagesUnshared();

    /** {@return the value of {@link KsmStats#pagesVolatile}; null if it is absent} */
    @Meaning(value = CounterText.PAGES_VOLATILE, units = "pages")
    @Nullable
    Long getPagesVolatile();

    /** {@return the value of {@link KsmStats#pagesScanned}; null if it is absent} */
    @Meaning(value = CounterText.PAGES_SCANNED, units = "pages")
    @Nullable
    Long getPagesScanned();

    /** {@return the value of {@link KsmStats#pagesSkipped}; null if it is absent} */
    @Meaning(value = CounterText.PAGES_SKIPPED, units = "pages")
    @Nullable
    Long getPagesSkipped();

    /** {@return the value of {@link KsmStats#fullScans}; null if it is absent} */
    @Meaning(value = CounterText.FULL_SCANS, units = "scans")
    @Nullable
    Long getFullScans();

    /** {@return the value of {@link KsmStats#stableNodeChains}; null if it is absent} */
    @Meaning(value = CounterText.STABLE_NODE_CHAINS, units = "chains")
    @Nullable
    Long getStableNodeChains();

    /** {@return the value of {@link KsmStats#stableNodeDups}; null if it is absent} */
    @Meaning(value = CounterText.STABLE_NODE_DUPS, units = "pages")
    @Nullable
    Long getStableNodeDups();

    /** {@return the value of {@link KsmStats#ksmZeroPages}; null if it is absent} */
    @Meaning(value = CounterText.KSM_ZERO_PAGES, units = "pages")
    @Nullable
    Long getKsmZeroPages();

    /** {@return the value of {@link KsmStats#generalProfit}; null if it is absent} */
    @Meaning(value = CounterText.GENERAL_PROFIT, units = "bytes")
    @Nullable
    Long getGeneralProfit();

    /** {@return the value of {@link KsmStats#cowKsm}; null if it is absent} */
    @Meaning(value = CounterText.COW_KSM, units = "pages")
    @Nullable
    Long getCowKsm();

    /** {@return the value of {@link KsmStats#ksmSwpinCopy}; null if it is absent} */
    @Meaning(value = CounterText.KSM_SWPIN_COPY, units = "pages")
    @Nullable
    Long getKsmSwpinCopy();

    /** {@return the value of {@link KsmStats#savedBytes}; null if it is absent} */
    @Meaning(value = CounterText.SAVED_BYTES, units = "bytes")
    @Nullable
    Long getSavedBytes();

    /** {@return the value of {@link KsmStats#usedBytes}; null if it is absent} */
    @Meaning(value = CounterText.USED_BYTES, units = "bytes")
    @Nullable
    Long getUsedBytes();

    /** {@return the value of {@link KsmStats#rmapItems}; null if it is absent} */
    @Meaning(value = CounterText.RMAP_ITEMS, units = "pages")
    @Nullable
    Long getRmapItems();

    /** {@return the value of {@link KsmStats#profitBytes}; null if it is absent} */
    @Meaning(value = CounterText.PROFIT_BYTES, units = "bytes")
    @Nullable
    Long getProfitBytes();

    /** {@return the value of {@link KsmStats#sharingRatio}; null if it is absent} */
    @Meaning(value = CounterText.SHARING_RATIO, units = "ratio")
    @Nullable
    Double getSharingRatio();

    /** {@return the value of {@link KsmStats#wastedEffort}; null if it is absent} */
    @Meaning(value = CounterText.WASTED_EFFORT, units = "ratio")
    @Nullable
    Double getWastedEffort();

    /** {@return the value of {@link KsmStats#volatileShare}; null if it is absent} */
    @Meaning(value = CounterText.VOLATILE_SHARE, units = "ratio")
    @Nullable
    Double getVolatileShare();

    /** {@return the value of {@link KsmStats#fullScanTime}, in milliseconds; null if it is absent} */
    @Meaning(value = CounterText.FULL_SCAN_MILLIS, units = "ms")
    @Nullable
    Long getFullScanMillis();
}
