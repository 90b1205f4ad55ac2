package io.ksm4j;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.IntConsumer;
import java.util.function.IntPredicate;

/**
 * Opts the whole process in or out, by {@code prctl(PR_SET_MEMORY_MERGE)} (Linux 6.4 and later): every private anonymous
 * mapping there is and will be may then merge, the Java heap and thread stacks too.
 *
 * <p>A Java heap hardly merges, because objects lie differently in every JVM; {@code ksmd} scans it all the same. Regions opened
 * with {@link Marking#NEVER} stay out. Memory that holds secrets and is not such a region does not stay out.
 */
public final class ProcessMerging {

    private final Kernel kernel;

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
        boolean wasMergeable = isMergeable();
        kernel.prctl("PR_SET_MEMORY_MERGE", Linux.PR_SET_MEMORY_MERGE, 1);
        try {
            forEachOpenRegion(this::exclude);
        } catch (KsmException e) {
            if (!wasMergeable) {
                try {
                    markUnmergeable(Unmerge.UNCHECKED);
                } catch (KsmException stillMergeable) {
                    e.addSuppressed(stillMergeable);
                }
            }
            throw e;
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
        // A process that isn't opted in has nothing taken apart.
        if (unmerge == Unmerge.UNCHECKED
                || kernel.recordsOnly
                || !kernel.unmergeCheck.isLarge()
                || !isOptedIn(kernel)) {
            optOut();
        } else {
            kernel.unmergeCheck.takeAllApart(this::optOut);
        }
        forEachOpenRegion(this::markAgain);
    }

    private void optOut() {
        kernel.prctl("PR_SET_MEMORY_MERGE", Linux.PR_SET_MEMORY_MERGE, 0);
    }

    private void exclude(int base) {
        List<AddressRange> excluded = rangesOf(base, node -> table().is(node, RegionTable.EXCLUDED));
        if (!excluded.isEmpty() && RegionState.isKnownAlive(table(), base)) {
            kernel.madviseMapped(excluded, Linux.MADV_UNMERGEABLE);
        }
    }

    /** What cannot be marked again, or may be somebody else's memory by now, is not wanted any more: the registry must not lie. */
    private void markAgain(int base) {
        List<AddressRange> wanted = rangesOf(base, table()::isWanted);
        if (wanted.isEmpty()) {
            return;
        }
        if (!RegionState.isKnownAlive(table(), base)) {
            forget(base);
            return;
        }
        try {
            kernel.madviseMapped(wanted, Linux.MADV_MERGEABLE);
        } catch (KsmException e) {
            kernel.undo(forget(base), Linux.MADV_UNMERGEABLE);
            throw e;
        }
    }

    /** Lets a region want nothing, and says what nobody else wants of it. */
    private static List<AddressRange> forget(int base) {
        RegionTable table = table();
        List<AddressRange> unwanted = new ArrayList<>();
        table.lock.lock();
        try {
            table.forget(base, (from, to, since) -> unwanted.add(AddressRange.between(from, to)));
        } finally {
            table.lock.unlock();
        }
        return unwanted;
    }

    /** Owns the regions one after the other, those of fallbacks excepted. All get their turn; then the first failure is thrown. */
    private void forEachOpenRegion(IntConsumer action) {
        KsmException failure = null;
        for (RegionTable.Slot slot : openRegions()) {
            if (table().acquire(new RegionTable.Slot[] {slot}) != null) {
                continue;
            }
            try {
                action.accept(slot.node);
            } catch (KsmException e) {
                if (failure == null) {
                    failure = e;
                } else {
                    failure.addSuppressed(e);
                }
            } finally {
                table().release(slot, 0, 0);
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    private List<RegionTable.Slot> openRegions() {
        List<RegionTable.Slot> slots = new ArrayList<>();
        table().lock.lock();
        try {
            table().forEachOverlapping(0, Long.MAX_VALUE, node -> {
                if (node == table().base(node) && table().is(node, RegionTable.RECORDED) == kernel.recordsOnly) {
                    slots.add(table().slotOf(node));
                }
                return true;
            });
        } finally {
            table().lock.unlock();
        }
        return slots;
    }

    private static List<AddressRange> rangesOf(int base, IntPredicate which) {
        List<AddressRange> ranges = new ArrayList<>();
        RegionTable table = table();
        table.lock.lock();
        try {
            table.forEachOverlapping(table.start(base), table.end(base), node -> {
                if (table.base(node) == base && which.test(node)) {
                    ranges.add(AddressRange.between(table.start(node), table.end(node)));
                }
                return true;
            });
        } finally {
            table.lock.unlock();
        }
        return ranges;
    }

    private static RegionTable table() {
        return SharedTable.TABLE;
    }

    /** For code that only wants to know, on kernels that may not know the question. */
    static boolean isOptedIn(Kernel kernel) {
        return kernel.backend.prctl(Linux.PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1;
    }
}
