package io.ksm4j.stats;

import org.jspecify.annotations.Nullable;

/**
 * {@link ProcessKsmStats} of this process for JConsole and other JMX clients, under the name {@value #OBJECT_NAME}. Registered
 * shortly after the first use of ksm4j, unless {@code -Dio.ksm4j.jmx=false} is set.
 *
 * <p>What this kernel does not tell is null, never 0. Reading one attribute reads all there is; {@code getAttributes} of many does
 * so once, so that the values belong together. Reading fails as {@link ProcessKsmStats#read()} does.
 */
public interface ProcessKsmStatsMXBean {

    /** The name in the platform MBean server. */
    String OBJECT_NAME = "io.ksm4j:type=ProcessKsmStats";

    /** {@return what {@link ProcessKsmStats#pid} says} */
    @Meaning(value = "The process", units = "process number")
    long getPid();

    /** {@return what {@link ProcessKsmStats#rmapItems} says; null if it is absent} */
    @Meaning(value = "Pages of the process that ksmd keeps a record of", units = "pages")
    @Nullable
    Long getRmapItems();

    /** {@return what {@link ProcessKsmStats#mergingPages} says; null if it is absent} */
    @Meaning(value = "Pages of the process that are merged", units = "pages")
    @Nullable
    Long getMergingPages();

    /** {@return what {@link ProcessKsmStats#zeroPages} says; null if it is absent} */
    @Meaning(value = "Empty pages of the process that have become the kernel's zero page", units = "pages")
    @Nullable
    Long getZeroPages();

    /** {@return what {@link ProcessKsmStats#processProfit} says; null if it is absent} */
    @Meaning(
            value = "What merging this process saves less what it costs, as the kernel says; may be less than 0",
            units = "bytes")
    @Nullable
    Long getProcessProfit();

    /** {@return what {@link ProcessKsmStats#mergeAny} says; null if it is absent} */
    @Meaning(value = "Whether all memory of the process may merge", units = "true or false")
    @Nullable
    Boolean getMergeAny();

    /** {@return what {@link ProcessKsmStats#mergeable} says; null if it is absent} */
    @Meaning(value = "Whether any memory of the process may merge", units = "true or false")
    @Nullable
    Boolean getMergeable();

    /** {@return what {@link ProcessKsmStats#mergedBytes} says; null if it is absent} */
    @Meaning(value = "What the merged pages of the process would occupy alone", units = "bytes")
    @Nullable
    Long getMergedBytes();

    /** {@return what {@link ProcessKsmStats#profitBytes} says; null if it is absent} */
    @Meaning(value = "MergedBytes less 64 bytes for each of RmapItems; may be less than 0", units = "bytes")
    @Nullable
    Long getProfitBytes();

    /** {@return what {@link ProcessKsmStats#rmapItemsPerMergedPage} says; null if it is absent} */
    @Meaning(value = "RmapItems for each of MergingPages; merging loses memory above page size / 64", units = "ratio")
    @Nullable
    Double getRmapItemsPerMergedPage();
}
