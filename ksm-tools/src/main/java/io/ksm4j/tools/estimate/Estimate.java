// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.tools.status.ProcessInfo;
import java.util.List;

/**
 * What merging would save and cost for some processes. Counts are numbers of pages.
 *
 * @param rules how the kernel merges
 * @param processes in the order in which they were read
 * @param contents distinct contents of their pages, without zeros
 * @param groups what the contents become
 * @param sampling one in this many contents was counted; 1 if all were
 */
record Estimate(Rules rules, List<OfProcess> processes, long contents, ContentTable.Groups groups, long sampling) {

    /** The kernel's record for each scanned page, in bytes: sizes of the slabs {@code ksm_*} of 64-bit kernels. */
    static final long RMAP_ITEM = 64;

    /** The kernel's record for each page that others were merged with. */
    static final long STABLE_NODE = 64;

    /** The kernel's record for each process. */
    static final long MM_SLOT = 48;

    /**
     * How the kernel merges.
     *
     * @param pageSize the page size in bytes
     * @param maxPageSharing the maximum number of mappings that share a page
     * @param useZeroPages whether zero-filled pages are replaced by the kernel's zero page
     * @param acrossNodes whether pages of different NUMA nodes merge; the estimate assumes that they do
     */
    record Rules(long pageSize, long maxPageSharing, boolean useZeroPages, boolean acrossNodes) {}

    /**
     * A process.
     *
     * @param pid its PID
     * @param name see {@link ProcessInfo}
     * @param isComplete whether it ran until all of it was read
     * @param read pages that were read and did not change
     * @param zeros how many of those contain only zeros
     * @param shared pages that are already shared by fork or merging, except the first mapping seen of each; if the
     *     kernel keeps several copies because of its maximum, they look like pages still to be merged
     * @param changed pages that changed between two reads
     * @param contents distinct contents of the pages read, without zeros
     * @param elsewhere how many of those another process also has
     * @param swapped pages on swap
     * @param unread pages that were gone before they were read
     * @param huge pages in huge pages
     */
    record OfProcess(
            long pid,
            String name,
            boolean isComplete,
            long read,
            long zeros,
            long shared,
            long changed,
            long contents,
            long elsewhere,
            long swapped,
            long unread,
            long huge) {

        /** Returns the pages that ksmd would scan. */
        long candidates() {
            return read + shared + changed;
        }
    }

    /** Returns the pages that would be saved if this process were alone. */
    long within(OfProcess process) {
        return Math.max(0, process.read - process.contents - keptOfZeros(process.zeros));
    }

    /** Returns the pages that would be saved in addition because other processes have the same contents. */
    long across(OfProcess process) {
        long withZeros = processes.stream().filter(one -> one.zeros > 0).count();
        return process.elsewhere + (withZeros > 1 ? keptOfZeros(process.zeros) : 0);
    }

    /** Returns the zero-filled page that is kept, unless it is the kernel's zero page. */
    private long keptOfZeros(long zeros) {
        return zeros > 0 && !rules.useZeroPages ? 1 : 0;
    }

    /** Returns the pages that would be saved if each process were alone. */
    long within() {
        return processes.stream().mapToLong(this::within).sum();
    }

    /** Returns the pages that would be saved in addition because processes have contents in common. */
    long across() {
        long apart = processes.stream()
                .mapToLong(process -> process.contents + keptOfZeros(process.zeros))
                .sum();
        return Math.max(0, apart - contents - keptOfZeros(zeros()));
    }

    private long zeros() {
        return processes.stream().mapToLong(OfProcess::zeros).sum();
    }

    /** Returns the zero-filled pages that are kept if they merge like other pages. */
    private long copiesOfZeros() {
        return rules.useZeroPages || zeros() < 2 ? 0 : ContentTable.copies(zeros(), rules.maxPageSharing);
    }

    /** Returns the pages that are kept because the number of mappings of a page is limited. */
    long extraCopies() {
        return groups.copies() - groups.merged() + Math.max(0, copiesOfZeros() - 1);
    }

    /** Returns the pages that would be saved. */
    long saved() {
        return Math.max(0, within() + across() - extraCopies());
    }

    /** Returns the size of the kernel's records of this process in bytes. */
    long costBytes(OfProcess process) {
        // The kernel keeps no record of a page that was replaced by its zero page.
        long known = process.candidates() - (rules.useZeroPages ? process.zeros : 0);
        return known * RMAP_ITEM + MM_SLOT;
    }

    /** Returns the size of all records of the kernel in bytes. */
    long costBytes() {
        long pages = processes.stream().mapToLong(this::costBytes).sum();
        return pages + (groups.copies() + copiesOfZeros()) * STABLE_NODE;
    }

    long savedBytes() {
        return bytes(saved());
    }

    long profitBytes() {
        return savedBytes() - costBytes();
    }

    /** Returns the maximum error of the saving in bytes in 19 of 20 cases, due to contents that were not counted. */
    long errorBytes() {
        long uncertain = processes.stream()
                .mapToLong(process -> process.read - process.zeros)
                .sum();
        return (long) (Math.min(2 * groups.standardError(), (double) uncertain) * rules.pageSize);
    }

    long bytes(long pages) {
        return pages * rules.pageSize;
    }

    /** Returns the pages that ksmd would scan. */
    long candidates() {
        return processes.stream().mapToLong(OfProcess::candidates).sum();
    }
}
