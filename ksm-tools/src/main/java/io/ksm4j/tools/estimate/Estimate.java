package io.ksm4j.tools.estimate;

import io.ksm4j.tools.status.ProcessInfo;
import java.util.List;

/**
 * What merging would save of some processes' memory, and cost. Counts are of pages.
 *
 * @param rules how the kernel merges
 * @param processes in the order in which they were looked at
 * @param contents different contents that their pages have, without the zeros
 * @param groups what they become
 * @param sampling of how many contents one was counted; 1 if all were
 */
record Estimate(Rules rules, List<OfProcess> processes, long contents, ContentTable.Groups groups, long sampling) {

    /** What the kernel keeps of each page it has looked at, in bytes: sizes of the slabs {@code ksm_*} of 64-bit kernels. */
    static final long RMAP_ITEM = 64;

    /** What it keeps of each page that others were merged with. */
    static final long STABLE_NODE = 64;

    /** What it keeps of each process. */
    static final long MM_SLOT = 48;

    /**
     * How the kernel merges.
     *
     * @param pageSize bytes
     * @param maxPageSharing how many mappings share a page at most
     * @param useZeroPages whether pages of zeros become the kernel's own
     * @param acrossNodes whether pages of different NUMA nodes are merged; the estimate takes it that they are
     */
    record Rules(long pageSize, long maxPageSharing, boolean useZeroPages, boolean acrossNodes) {}

    /**
     * A process.
     *
     * @param pid its number
     * @param name see {@link ProcessInfo}
     * @param isComplete whether it lived until all had been read
     * @param read pages that were read and did not change
     * @param zeros those of them that hold zeros alone
     * @param shared pages that are shared already, by fork or merged, beside the first that was seen of each; copies that the kernel keeps as
     *     no page is shared without limit look like pages still to be merged
     * @param changed pages that changed between two looks
     * @param contents different contents of those that were read, without zeros
     * @param elsewhere those of them that another process has, too
     * @param swapped pages on swap
     * @param unread pages that were gone when it came to them
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

        /** Pages that ksmd would look at. */
        long candidates() {
            return read + shared + changed;
        }
    }

    /** Pages that would go if this process were alone. */
    long within(OfProcess process) {
        return Math.max(0, process.read - process.contents - keptOfZeros(process.zeros));
    }

    /** Further pages that the others save it. */
    long across(OfProcess process) {
        long withZeros = processes.stream().filter(one -> one.zeros > 0).count();
        return process.elsewhere + (withZeros > 1 ? keptOfZeros(process.zeros) : 0);
    }

    /** One page, if it is not the kernel's. */
    private long keptOfZeros(long zeros) {
        return zeros > 0 && !rules.useZeroPages ? 1 : 0;
    }

    /** Pages that would go if each were alone. */
    long within() {
        return processes.stream().mapToLong(this::within).sum();
    }

    /** Further pages that would go as they have contents in common. */
    long across() {
        long apart = processes.stream()
                .mapToLong(process -> process.contents + keptOfZeros(process.zeros))
                .sum();
        return Math.max(0, apart - contents - keptOfZeros(zeros()));
    }

    private long zeros() {
        return processes.stream().mapToLong(OfProcess::zeros).sum();
    }

    /** Pages of zeros that are kept if they are merged as others are. */
    private long copiesOfZeros() {
        return rules.useZeroPages || zeros() < 2 ? 0 : ContentTable.copies(zeros(), rules.maxPageSharing);
    }

    /** Pages that stay as no page is shared without limit. */
    long extraCopies() {
        return groups.copies() - groups.merged() + Math.max(0, copiesOfZeros() - 1);
    }

    /** Pages that would go. */
    long saved() {
        return Math.max(0, within() + across() - extraCopies());
    }

    /** What the kernel would keep of this process's pages, in bytes. */
    long costBytes(OfProcess process) {
        // Of a page that became the kernel's it keeps nothing.
        long known = process.candidates() - (rules.useZeroPages ? process.zeros : 0);
        return known * RMAP_ITEM + MM_SLOT;
    }

    /** What the kernel would keep in all, in bytes. */
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

    /** What the saving is off by at most in 19 of 20 cases, in bytes, as not all contents were counted. */
    long errorBytes() {
        long uncertain = processes.stream()
                .mapToLong(process -> process.read - process.zeros)
                .sum();
        return (long) (Math.min(2 * groups.standardError(), (double) uncertain) * rules.pageSize);
    }

    long bytes(long pages) {
        return pages * rules.pageSize;
    }

    long candidates() {
        return processes.stream().mapToLong(OfProcess::candidates).sum();
    }
}
