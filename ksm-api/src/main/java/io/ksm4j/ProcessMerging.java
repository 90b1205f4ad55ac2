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
 * Opts the whole process in or out, by {@code prctl(PR_SET_MEMORY_MERGE)} (Linux 6.4 and later): every private anonymous
 * mapping there is and will be may then merge, the Java heap and thread stacks too.
 *
 * <p>A Java heap hardly merges, because objects lie differently in every JVM; {@code ksmd} scans it all the same. Regions opened
 * with {@link Marking#NEVER} stay out. Memory that holds secrets and is not such a region does not stay out.
 */
public final class ProcessMerging {

    private final Kernel kernel;

    // Made once, since nothing may be allocated between opting out and the first use of them.
    private final Action exclude = this::exclude;
    private final Action markAgain = this::markAgain;

    ProcessMerging(Kernel kernel) {
        this.kernel = kernel;
    }

    /**
     * Whether the process is opted in, by ksm4j or by anybody else (systemd's {@code MemoryKSM=}, a parent process).
     *
     * @return true if new mappings will be mergeable
     * @throws KsmUnsupportedException if the kernel is older than Linux 6.4 or was built without KSM
     * @throws KsmException if the call fails otherwise
     */
    public boolean isMergeable() {
        return kernel.prctl("PR_GET_MEMORY_MERGE", Linux.PR_GET_MEMORY_MERGE, 0) == 1;
    }

    /**
     * Opts the process in. Regions opened with {@link Marking#NEVER} are taken out again at once, and if that
     * fails the process is opted out; between the two calls {@code ksmd} could merge such a page with one that is merged already,
     * so opt in before secrets are loaded.
     *
     * @throws KsmUnsupportedException if the kernel is older than Linux 6.4 or was built without KSM
     * @throws KsmPermissionException if a security policy forbids it
     * @throws KsmException if the call fails otherwise
     */
    public void markMergeable() {
        StackRoom.requireForOpening();
        boolean wasMergeable = isMergeable();
        List<Slot[]> regions = openRegions();
        kernel.prctl("PR_SET_MEMORY_MERGE", Linux.PR_SET_MEMORY_MERGE, 1);
        try {
            // Once more: one that was opened before the call may not be in the first list.
            regions = openRegions();
            forEach(regions, exclude);
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
     * Opts the process out as {@link Unmerge#CHECKED} has it: {@link #markUnmergeable(Unmerge)}.
     *
     * @throws KsmUnsupportedException if the kernel is older than Linux 6.4 or was built without KSM
     * @throws KsmPermissionException if a security policy forbids it
     * @throws UnmergeRefusedException if there is not enough memory to take merged pages apart; the process stays opted in
     * @throws ResourceUnavailableException if the kernel is short of memory
     * @throws KsmException if the call fails otherwise
     */
    public void markUnmergeable() {
        markUnmergeable(Unmerge.CHECKED);
    }

    /**
     * Opts the process out and takes merged pages apart, which may need as much memory as was saved. The kernel forgets all
     * marks at that; those of open regions are made again. A region for which that fails is unmarked, in the registry too, and
     * the first failure is thrown when all regions have had their turn.
     *
     * @param unmerge what to do before; {@link Unmerge#STEPWISE} is as {@link Unmerge#CHECKED}, because it is one call
     * @throws KsmUnsupportedException if the kernel is older than Linux 6.4 or was built without KSM
     * @throws KsmPermissionException if a security policy forbids it
     * @throws UnmergeRefusedException if there is not enough memory to take merged pages apart; the process stays opted in
     * @throws ResourceUnavailableException if the kernel is short of memory
     * @throws KsmException if the call fails otherwise
     */
    public void markUnmergeable(Unmerge unmerge) {
        Objects.requireNonNull(unmerge, "unmerge");
        StackRoom.requireForOpening();
        List<Slot[]> regions = openRegions();
        // A process that isn't opted in has nothing taken apart.
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
     * Once opted out, the kernel has forgotten all marks.
     *
     * @param known the open regions
     */
    private void optOutAndMarkAgain(List<Slot[]> known) {
        List<Slot[]> regions = known;
        try {
            optOut();
            // Once more: one that was opened before the call may not be in the first list.
            regions = openRegions();
        } finally {
            boolean isStillIn = false;
            try {
                isStillIn = kernel.isOptedIn();
            } catch (Throwable t) {
                // To mark what is marked does no harm.
            }
            if (!isStillIn) {
                forEach(regions, markAgain);
            }
        }
    }

    private void optOut() {
        kernel.prctl("PR_SET_MEMORY_MERGE", Linux.PR_SET_MEMORY_MERGE, 0);
    }

    /**
     * Also where it is not known whether the memory still exists, as of regions that other copies of ksm4j opened: what was kept out must
     * not merge. If other memory is there by now, it is not merged either, until it is marked again.
     */
    private @Nullable FailedCall exclude(Slot slot) {
        List<AddressRange> excluded = new ArrayList<>();
        table().forEachExcludedBy(slot, (from, to, since) -> excluded.add(AddressRange.between(from, to)));
        return kernel.adviseMapped(excluded, Linux.MADV_UNMERGEABLE);
    }

    /** What cannot be marked again, or may be other memory by now, is not wanted any more: the registry must not lie. */
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

    private interface Action {
        /** Does something to an owned region. Returns the call that failed, or null. */
        @Nullable
        FailedCall perform(Slot slot);
    }

    /** Owns the regions one after the other, those of fallbacks excepted. All get their turn; then the first failure is thrown. */
    private void forEach(List<Slot[]> regions, Action action) {
        Throwable failure = null;
        for (int i = 0; i < regions.size(); i++) {
            Throwable failed = perform(action, regions.get(i));
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

    private @Nullable Throwable perform(Action action, Slot[] region) {
        try {
            if (table().acquire(region) != null) {
                return null;
            }
            FailedCall failed;
            try {
                failed = action.perform(region[0]);
            } finally {
                Slot.release(region);
            }
            return failed == null ? null : kernel.explain(failed);
        } catch (RuntimeException | Error e) {
            return e;
        }
    }

    private List<Slot[]> openRegions() {
        return table().slots(kernel.recordsOnly);
    }

    private static RegionTable table() {
        return SharedTable.table();
    }
}
