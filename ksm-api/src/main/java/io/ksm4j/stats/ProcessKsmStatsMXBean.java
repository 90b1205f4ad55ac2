// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

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
public interface ProcessKsmStatsMXBean {

    /** The object name in the platform MBean server. */
    String OBJECT_NAME = "io.ksm4j:type=ProcessKsmStats";

    /** {@return the value of {@link ProcessKsmStats#pid}} */
    @Meaning(value = "The process", units = "PID")
    long getPid();

    /** {@return the value of {@link ProcessKsmStats#rmapItems}; null if it is absent} */
    @Meaning(value = "Pages of the process that ksmd keeps a record of", units = "pages")
    @Nullable
    Long getRmapItems();

    /** {@return the value of {@link ProcessKsmStats#mergingPages}; null if it is absent} */
    @Meaning(value = "Pages of the process that are merged", units = "pages")
    @Nullable
    Long getMergingPages();

    /** {@return the value of {@link ProcessKsmStats#zeroPages}; null if it is absent} */
    @Meaning(value = "Zero-filled pages of the process that were replaced by the kernel's zero page", units = "pages")
    @Nullable
    Long getZeroPages();

    /** {@return the value of {@link ProcessKsmStats#processProfit}; null if it is absent} */
    @Meaning(
            value = "What merging this process saves minus what it costs, as computed by the kernel; may be negative",
            units = "bytes")
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
    @Meaning(value = "What the merged pages of the process would occupy if they were not merged", units = "bytes")
    @Nullable
    Long getMergedBytes();

    /** {@return the value of {@link ProcessKsmStats#profitBytes}; null if it is absent} */
    @Meaning(value = "MergedBytes minus 64 bytes for each of RmapItems; may be negative", units = "bytes")
    @Nullable
    Long getProfitBytes();

    /** {@return the value of {@link ProcessKsmStats#rmapItemsPerMergedPage}; null if it is absent} */
    @Meaning(value = "RmapItems / MergingPages; merging wastes memory above page size / 64", units = "ratio")
    @Nullable
    Double getRmapItemsPerMergedPage();
}
