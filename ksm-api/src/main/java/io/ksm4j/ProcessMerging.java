// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.StackRoom;
import io.ksm4j.internal.linux.Linux;
import io.ksm4j.internal.management.SharedTable;
import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.internal.registry.Slot;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Opts the whole process in or out with {@code prctl(PR_SET_MEMORY_MERGE)} (Linux 6.4 and later). While the process is
 * opted in, all its private anonymous mappings may merge, existing and future ones, including the Java heap and thread
 * stacks.
 *
 * <p>A Java heap hardly merges, because objects have a different layout in every JVM, but {@code ksmd} scans it all the
 * same. Regions opened with {@link Marking#NEVER} are excluded. Other memory that holds secrets is not.
 *
 * @since 0.1.0
 */
public final class ProcessMerging {

    private final Kernel kernel;

    ProcessMerging(Kernel kernel) {
        this.kernel = kernel;
    }

    /**
     * Returns whether the process is opted in, by ksm4j or in another way (systemd's {@code MemoryKSM=}, a parent
     * process).
     *
     * @return true if new mappings will be mergeable
     * @throws KsmUnsupportedException if the kernel is older than Linux 6.4 or was built without KSM
     * @throws KsmException if the call fails for another reason
     */
    public boolean isMergeable() {
        return kernel.prctl("PR_GET_MEMORY_MERGE", Linux.PR_GET_MEMORY_MERGE, 0) == 1;
    }

    /**
     * Opts the process in. Regions opened with {@link Marking#NEVER} are excluded again immediately; if that fails, the
     * process is opted out. Between these two calls, {@code ksmd} can merge a page of such a region with a page that is
     * merged already, so opt in before you load secrets.
     *
     * @throws KsmUnsupportedException if the kernel is older than Linux 6.4 or was built without KSM
     * @throws KsmPermissionException if a security policy forbids it
     * @throws KsmException if the call fails for another reason
     */
    public void markMergeable() {
        StackRoom.requireForOpening();
        boolean wasMergeable = isMergeable();
        List<Slot[]> regions = openRegions();
        kernel.prctl("PR_SET_MEMORY_MERGE", Linux.PR_SET_MEMORY_MERGE, 1);
        try {
            // List them again: a region opened just before the call may not be in the first list.
            regions = openRegions();
            forEach(regions, true);
        } catch (Throwable t) {
            if (!wasMergeable) {
                try {
                    optOutAndMarkAgain(regions);
                } catch (KsmException stillMergeable) {
                    t.addSuppressed(stillMergeable);
                }
            }
            throw t;
        }
    }

    /**
     * Opts the process out with {@link Unmerge#CHECKED}: see {@link #markUnmergeable(Unmerge)}.
     *
     * @throws KsmUnsupportedException if the kernel is older than Linux 6.4 or was built without KSM
     * @throws KsmPermissionException if a security policy forbids it
     * @throws UnmergeRefusedException if there is not enough memory to unmerge all pages; the process stays opted in
     * @throws ResourceUnavailableException if the kernel is short of memory
     * @throws KsmException if the call fails for another reason
     */
    public void markUnmergeable() {
        markUnmergeable(Unmerge.CHECKED);
    }

    /**
     * Opts the process out and unmerges its pages, which may need as much memory as merging has saved. The kernel then
     * clears all marks, and the marks of open regions are set again. A region for which that fails becomes unmarked, in
     * the registry as well; the first failure is thrown after all regions have been processed.
     *
     * @param unmerge what to check first; {@link Unmerge#STEPWISE} has the same effect as {@link Unmerge#CHECKED},
     *     because opting out is a single call
     * @throws KsmUnsupportedException if the kernel is older than Linux 6.4 or was built without KSM
     * @throws KsmPermissionException if a security policy forbids it
     * @throws UnmergeRefusedException if there is not enough memory to unmerge all pages; the process stays opted in
     * @throws ResourceUnavailableException if the kernel is short of memory
     * @throws KsmException if the call fails for another reason
     */
    public void markUnmergeable(Unmerge unmerge) {
        Objects.requireNonNull(unmerge, "unmerge");
        StackRoom.requireForOpening();
        List<Slot[]> regions = openRegions();
        // If the process is not opted in, this call unmerges nothing.
        if (unmerge == Unmerge.UNCHECKED
                || kernel.recordsOnly
                || !kernel.unmergeCheck.isLarge()
                || !kernel.isOptedIn()) {
            optOutAndMarkAgain(regions);
        } else {
            kernel.unmergeCheck.takeTurn();
            try {
                kernel.unmergeCheck.requireRoomForAll();
                optOutAndMarkAgain(regions);
            } finally {
                kernel.unmergeCheck.endTurn();
            }
        }
    }

    /**
     * Opts out and sets the marks of open regions again, which the kernel has cleared.
     *
     * @param known the open regions
     */
    private void optOutAndMarkAgain(List<Slot[]> known) {
        List<Slot[]> regions = known;
        try {
            optOut();
            // List them again: a region opened just before the call may not be in the first list.
            regions = openRegions();
        } finally {
            boolean isStillIn = false;
            try {
                isStillIn = kernel.isOptedIn();
            } catch (Throwable t) {
                // Marking memory that is marked already does no harm.
            }
            if (!isStillIn) {
                forEach(regions, false);
            }
        }
    }

    private void optOut() {
        kernel.prctl("PR_SET_MEMORY_MERGE", Linux.PR_SET_MEMORY_MERGE, 0);
    }

    /**
     * Excludes a region, even if it is unknown whether its memory still exists, as for regions opened by other copies
     * of ksm4j: excluded memory must not merge. If the addresses hold other memory by now, that memory does not merge
     * either until it is marked again.
     */
    private @Nullable FailedCall exclude(Slot slot) {
        List<AddressRange> excluded = new ArrayList<>();
        table().forEachExcludedBy(slot, (from, to, since) -> excluded.add(AddressRange.between(from, to)));
        return kernel.adviseMapped(excluded, Linux.MADV_UNMERGEABLE);
    }

    /**
     * Marks again what a region wants. If that fails, or the addresses may hold other memory by now, the region wants
     * nothing any more, so that the registry stays correct.
     */
    private @Nullable FailedCall markAgain(Slot slot) {
        boolean isRight = false;
        List<AddressRange> notWantedByOthers = null;
        try {
            List<AddressRange> wanted = new ArrayList<>();
            table().forEachWantedBy(slot, (from, to, since) -> wanted.add(AddressRange.between(from, to)));
            if (wanted.isEmpty()) {
                isRight = true;
                return null;
            }
            if (!AdoptedState.isKnownAlive(slot)) {
                return null;
            }
            notWantedByOthers = notWantedByOthers(slot.node, wanted);
            FailedCall failed = kernel.adviseMapped(wanted, Linux.MADV_MERGEABLE);
            isRight = failed == null;
            return failed;
        } finally {
            if (!isRight) {
                table().unwantAll(slot);
                if (notWantedByOthers != null) {
                    kernel.undo(notWantedByOthers, Linux.MADV_UNMERGEABLE);
                }
            }
        }
    }

    private static List<AddressRange> notWantedByOthers(int base, List<AddressRange> wanted) {
        List<AddressRange> ranges = new ArrayList<>();
        for (AddressRange range : wanted) {
            table().forEachUnwanted(
                            range.start(),
                            range.end(),
                            other -> other == base,
                            (from, to, since) -> ranges.add(AddressRange.between(from, to)));
        }
        return ranges;
    }

    /**
     * Excludes each region, or marks it again, while owning it, one region after the other. A failure does not stop the
     * others; the first one is thrown at the end.
     */
    private void forEach(List<Slot[]> regions, boolean exclude) {
        Throwable failure = null;
        for (int i = 0; i < regions.size(); i++) {
            Throwable failed = change(regions.get(i), exclude);
            if (failure == null) {
                failure = failed;
            } else if (failed instanceof KsmException) {
                failure.addSuppressed(failed);
            }
        }
        if (failure instanceof Error error) {
            throw error;
        }
        if (failure instanceof RuntimeException exception) {
            throw exception;
        }
    }

    private @Nullable Throwable change(Slot[] region, boolean exclude) {
        try {
            if (table().acquire(region) != null) {
                return null;
            }
            FailedCall failed;
            try {
                failed = exclude ? exclude(region[0]) : markAgain(region[0]);
            } finally {
                Slot.release(region);
            }
            return failed == null ? null : kernel.explain(failed);
        } catch (RuntimeException | Error e) {
            return e;
        }
    }

    /** Returns the open regions, without those of fallbacks; for a fallback, only those. */
    private List<Slot[]> openRegions() {
        return table().slots(kernel.recordsOnly);
    }

    private static RegionTable table() {
        return SharedTable.table();
    }
}
