// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import io.ksm4j.internal.CounterText;
import org.jspecify.annotations.Nullable;

/**
 * {@link ProcessKsmStats} of this process for JConsole and other JMX clients, under the object name
 * {@value #OBJECT_NAME}. Registered shortly after the first use of ksm4j, unless {@code -Dio.ksm4j.jmx=false} is set.
 *
 * <p>Values that this kernel does not provide are null, never 0. Reading one attribute reads all files;
 * {@code getAttributes} reads them once for all requested attributes, so that the values are consistent. Reading an
 * attribute fails like {@link ProcessKsmStats#read()}.
 *
 * @since 0.1.0
 */
@SuppressWarnings("exports") // The compiler replaces the constants by their values.
public interface ProcessKsmStatsMXBean {

    /** The object name in the platform MBean server. */
    String OBJECT_NAME = "io.ksm4j:type=ProcessKsmStats";

    /** {@return the value of {@link ProcessKsmStats#pid}} */
    @Meaning(value = "The process", units = "PID")
    long getPid();

    /** {@return the value of {@link ProcessKsmStats#rmapItems}; null if it is absent} */
    @Meaning(value = CounterText.PROCESS_RMAP_ITEMS, units = "pages")
    @Nullable
    Long getRmapItems();

    /** {@return the value of {@link ProcessKsmStats#mergingPages}; null if it is absent} */
    @Meaning(value = CounterText.PROCESS_MERGING_PAGES, units = "pages")
    @Nullable
    Long getMergingPages();

    /** {@return the value of {@link ProcessKsmStats#zeroPages}; null if it is absent} */
    @Meaning(value = CounterText.PROCESS_ZERO_PAGES, units = "pages")
    @Nullable
    Long getZeroPages();

    /** {@return the value of {@link ProcessKsmStats#processProfit}; null if it is absent} */
    @Meaning(value = CounterText.PROCESS_PROFIT, units = "bytes")
    @Nullable
    Long getProcessProfit();

    /** {@return the value of {@link ProcessKsmStats#mergeAny}; null if it is absent} */
    @Meaning(value = "Whether all memory of the process is mergeable", units = "true or false")
    @Nullable
    Boolean getMergeAny();

    /** {@return the value of {@link ProcessKsmStats#mergeable}; null if it is absent} */
    @Meaning(value = "Whether any memory of the process is mergeable", units = "true or false")
    @Nullable
    Boolean getMergeable();

    /** {@return the value of {@link ProcessKsmStats#mergedBytes}; null if it is absent} */
    @Meaning(value = CounterText.PROCESS_MERGED_BYTES, units = "bytes")
    @Nullable
    Long getMergedBytes();

    /** {@return the value of {@link ProcessKsmStats#profitBytes}; null if it is absent} */
    @Meaning(value = CounterText.PROCESS_PROFIT_BYTES, units = "bytes")
    @Nullable
    Long getProfitBytes();

    /** {@return the value of {@link ProcessKsmStats#rmapItemsPerMergedPage}; null if it is absent} */
    @Meaning(value = "RmapItems / MergingPages; merging wastes memory above page size / 64", units = "ratio")
    @Nullable
    Double getRmapItemsPerMergedPage();
}
