package io.ksm4j.stats;

import org.jspecify.annotations.Nullable;

/**
 * {@link KsmStats} of this machine for JConsole and other JMX clients, under the name {@value #OBJECT_NAME}. Registered shortly
 * after the first use of ksm4j, unless {@code -Dio.ksm4j.jmx=false} is set.
 *
 * <p>What this kernel does not tell is null, never 0. Reading one attribute reads all files; {@code getAttributes} of many reads
 * them once, so that the values belong together. Reading fails as {@link KsmStats#read()} does.
 */
public interface KsmStatsMXBean {

    /** The name in the platform MBean server. */
    String OBJECT_NAME = "io.ksm4j:type=KsmStats";

    /** {@return what {@link KsmStats#isAvailable} says} */
    @Meaning(
            value = "Whether /sys/kernel/mm/ksm can be read; what its files say is null otherwise",
            units = "true or false")
    boolean isAvailable();

    /** {@return what {@link KsmStats#run} says; null if it is absent} */
    @Meaning(
            value = "What ksmd is told to do: 0 stand still, 1 merge, 2 stand still with all pages taken apart",
            units = "0 to 2")
    @Nullable
    Long getRun();

    /** {@return what {@link KsmStats#pagesToScan} says; null if it is absent} */
    @Meaning(value = "What ksmd scans before it sleeps", units = "pages")
    @Nullable
    Long getPagesToScan();

    /** {@return what {@link KsmStats#sleepMillisecs} says; null if it is absent} */
    @Meaning(value = "How long ksmd sleeps after that", units = "ms")
    @Nullable
    Long getSleepMillisecs();

    /** {@return what {@link KsmStats#mergeAcrossNodes} says; null if it is absent} */
    @Meaning(value = "Whether pages of different NUMA nodes merge", units = "0 or 1")
    @Nullable
    Long getMergeAcrossNodes();

    /** {@return what {@link KsmStats#maxPageSharing} says; null if it is absent} */
    @Meaning(value = "How many mappings may share one page", units = "mappings")
    @Nullable
    Long getMaxPageSharing();

    /** {@return what {@link KsmStats#useZeroPages} says; null if it is absent} */
    @Meaning(value = "Whether empty pages become the kernel's zero page", units = "0 or 1")
    @Nullable
    Long getUseZeroPages();

    /** {@return what {@link KsmStats#smartScan} says; null if it is absent} */
    @Meaning(value = "Whether pages that did not merge are passed over for some scans", units = "0 or 1")
    @Nullable
    Long getSmartScan();

    /** {@return what {@link KsmStats#maxKernelPages} says; null if it is absent} */
    @Meaning(value = "How many merged pages there may be (Linux 2.6.32 only); 0 is no limit", units = "pages")
    @Nullable
    Long getMaxKernelPages();

    /** {@return what {@link KsmStats#stableNodeChainsPruneMillisecs} says; null if it is absent} */
    @Meaning(value = "How often stale entries are looked for in chains", units = "ms")
    @Nullable
    Long getStableNodeChainsPruneMillisecs();

    /** {@return what {@link KsmStats#advisorMode} says; null if it is absent} */
    @Meaning(value = "Who chooses PagesToScan", units = "none or scan-time")
    @Nullable
    String getAdvisorMode();

    /** {@return what {@link KsmStats#advisorMaxCpu} says; null if it is absent} */
    @Meaning(value = "The most that ksmd may take of a CPU under the advisor", units = "%")
    @Nullable
    Long getAdvisorMaxCpu();

    /** {@return what {@link KsmStats#advisorTargetScanTime} says; null if it is absent} */
    @Meaning(value = "How long a full scan should take under the advisor", units = "s")
    @Nullable
    Long getAdvisorTargetScanTime();

    /** {@return what {@link KsmStats#advisorMinPagesToScan} says; null if it is absent} */
    @Meaning(value = "The least the advisor chooses", units = "pages")
    @Nullable
    Long getAdvisorMinPagesToScan();

    /** {@return what {@link KsmStats#advisorMaxPagesToScan} says; null if it is absent} */
    @Meaning(value = "The most the advisor chooses", units = "pages")
    @Nullable
    Long getAdvisorMaxPagesToScan();

    /** {@return what {@link KsmStats#pagesShared} says; null if it is absent} */
    @Meaning(value = "Physical pages that others share", units = "pages")
    @Nullable
    Long getPagesShared();

    /** {@return what {@link KsmStats#pagesSharing} says; null if it is absent} */
    @Meaning(value = "How many more places use them, which is how many pages are saved", units = "pages")
    @Nullable
    Long getPagesSharing();

    /** {@return what {@link KsmStats#pagesUnshared} says; null if it is absent} */
    @Meaning(value = "Pages that no other equals, looked at again in each scan", units = "pages")
    @Nullable
    Long getPagesUnshared();

    /** {@return what {@link KsmStats#pagesVolatile} says; null if it is absent} */
    @Meaning(value = "Pages that change too fast to be looked for", units = "pages")
    @Nullable
    Long getPagesVolatile();

    /** {@return what {@link KsmStats#pagesScanned} says; null if it is absent} */
    @Meaning(value = "Pages looked at since the machine started", units = "pages")
    @Nullable
    Long getPagesScanned();

    /** {@return what {@link KsmStats#pagesSkipped} says; null if it is absent} */
    @Meaning(value = "Pages passed over by smart scan since the machine started", units = "pages")
    @Nullable
    Long getPagesSkipped();

    /** {@return what {@link KsmStats#fullScans} says; null if it is absent} */
    @Meaning(value = "How often all mergeable memory was scanned since the machine started", units = "scans")
    @Nullable
    Long getFullScans();

    /** {@return what {@link KsmStats#stableNodeChains} says; null if it is absent} */
    @Meaning(value = "Contents that need more than one physical page, because of MaxPageSharing", units = "chains")
    @Nullable
    Long getStableNodeChains();

    /** {@return what {@link KsmStats#stableNodeDups} says; null if it is absent} */
    @Meaning(value = "The physical pages of those contents", units = "pages")
    @Nullable
    Long getStableNodeDups();

    /** {@return what {@link KsmStats#ksmZeroPages} says; null if it is absent} */
    @Meaning(value = "Empty pages that have become the kernel's zero page", units = "pages")
    @Nullable
    Long getKsmZeroPages();

    /** {@return what {@link KsmStats#generalProfit} says; null if it is absent} */
    @Meaning(value = "What merging saves less what it costs, as the kernel says; may be less than 0", units = "bytes")
    @Nullable
    Long getGeneralProfit();

    /** {@return what {@link KsmStats#cowKsm} says; null if it is absent} */
    @Meaning(value = "Merged pages that were written to, and copied for it, since the machine started", units = "pages")
    @Nullable
    Long getCowKsm();

    /** {@return what {@link KsmStats#ksmSwpinCopy} says; null if it is absent} */
    @Meaning(
            value = "Merged pages that had to be copied when they came back from swap, since the machine started",
            units = "pages")
    @Nullable
    Long getKsmSwpinCopy();

    /** {@return what {@link KsmStats#savedBytes} says; null if it is absent} */
    @Meaning(value = "What merging saves, before what the kernel spends on its records", units = "bytes")
    @Nullable
    Long getSavedBytes();

    /** {@return what {@link KsmStats#usedBytes} says; null if it is absent} */
    @Meaning(value = "What the merged pages occupy", units = "bytes")
    @Nullable
    Long getUsedBytes();

    /** {@return what {@link KsmStats#rmapItems} says; null if it is absent} */
    @Meaning(value = "Pages that ksmd keeps a record of", units = "pages")
    @Nullable
    Long getRmapItems();

    /** {@return what {@link KsmStats#profitBytes} says; null if it is absent} */
    @Meaning(value = "SavedBytes less 64 bytes for each of RmapItems; may be less than 0", units = "bytes")
    @Nullable
    Long getProfitBytes();

    /** {@return what {@link KsmStats#sharingRatio} says; null if it is absent} */
    @Meaning(value = "PagesSharing for each of PagesShared: the more, the better", units = "ratio")
    @Nullable
    Double getSharingRatio();

    /** {@return what {@link KsmStats#wastedEffort} says; null if it is absent} */
    @Meaning(value = "PagesUnshared for each of PagesSharing: the more, the more is scanned in vain", units = "ratio")
    @Nullable
    Double getWastedEffort();

    /** {@return what {@link KsmStats#volatileShare} says; null if it is absent} */
    @Meaning(value = "PagesVolatile of RmapItems", units = "ratio")
    @Nullable
    Double getVolatileShare();

    /** {@return what {@link KsmStats#fullScanTime} says, in milliseconds; null if it is absent} */
    @Meaning(value = "What ksmd sleeps in a full scan with these settings, if it looks at every page", units = "ms")
    @Nullable
    Long getFullScanMillis();
}
