package io.ksm4j;

import java.util.ArrayList;
import java.util.List;

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
            advise(RegionTable.EXCLUDED, Linux.MADV_UNMERGEABLE);
        } catch (KsmException e) {
            if (!wasMergeable) {
                try {
                    markUnmergeable();
                } catch (KsmException stillMergeable) {
                    e.addSuppressed(stillMergeable);
                }
            }
            throw e;
        }
    }

    /**
     * Opts the process out and takes merged pages apart, which may need as much memory as was saved. The kernel forgets all
     * marks at that; those of open regions are made again.
     *
     * @throws KsmUnsupportedException if the kernel is older than Linux 6.4 or was built without KSM
     * @throws KsmPermissionException if a security policy forbids it
     * @throws ResourceUnavailableException if there is not enough memory to take merged pages apart
     * @throws KsmException if the call fails otherwise
     */
    public void markUnmergeable() {
        kernel.prctl("PR_SET_MEMORY_MERGE", Linux.PR_SET_MEMORY_MERGE, 0);
        advise(RegionTable.MARKED | RegionTable.PIECE, Linux.MADV_MERGEABLE);
    }

    /** Gives advice for every open region that has one of these flags, region by region, with each one owned meanwhile. */
    private void advise(long flags, int advice) {
        RegionTable table = SharedTable.TABLE;
        List<RegionTable.Slot> slots = new ArrayList<>();
        table.lock.lock();
        try {
            table.forEachOverlapping(0, Long.MAX_VALUE, node -> {
                if (node == table.base(node)) {
                    slots.add(table.slotOf(node));
                }
                return true;
            });
        } finally {
            table.lock.unlock();
        }
        for (RegionTable.Slot slot : slots) {
            if (table.acquire(new RegionTable.Slot[] {slot}) != null) {
                continue;
            }
            try {
                kernel.madvise(rangesOf(table, slot.node, flags), advice);
            } catch (UnmappedRangeException e) {
                // The owner of adopted memory has unmapped it. What is left of it was advised.
            } finally {
                table.release(slot, 0, 0);
            }
        }
    }

    private static List<AddressRange> rangesOf(RegionTable table, int base, long flags) {
        List<AddressRange> ranges = new ArrayList<>();
        table.lock.lock();
        try {
            table.forEachOverlapping(table.start(base), table.end(base), node -> {
                if (table.base(node) == base && table.is(node, flags)) {
                    ranges.add(AddressRange.between(table.start(node), table.end(node)));
                }
                return true;
            });
        } finally {
            table.lock.unlock();
        }
        return ranges;
    }

    /** For code that only wants to know, on kernels that may not know the question. */
    static boolean isOptedIn(Kernel kernel) {
        return kernel.backend.prctl(Linux.PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1;
    }
}
