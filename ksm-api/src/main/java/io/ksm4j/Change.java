package io.ksm4j;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Marks or unmarks parts of regions, all or none, where regions may share pages. A page stays mergeable while at least one
 * open region wants it: marking tells the kernel about the whole part, unmarking only about pages that nobody wants any more.
 */
final class Change {

    /** A part of a region, by addresses on page boundaries inside it. */
    record Part(RegionState region, long from, long to) {}

    private record Wanted(Part part, long from, long to, long since) {}

    private final List<Part> parts;
    private final boolean mergeable;
    private final Unmerge how;
    private final RegionTable table = SharedTable.TABLE;
    private final Kernel kernel;

    /** What the regions wanted of their parts before. */
    private final List<Wanted> before = new ArrayList<>();

    /** What the kernel is told. */
    private final List<AddressRange> advised = new ArrayList<>();

    /** What nobody wanted before (marking) or wants any more (unmarking): what must be taken back on failure. */
    private final List<AddressRange> changed = new ArrayList<>();

    private Change(List<Part> parts, boolean mergeable, Unmerge how) {
        this.parts = parts;
        this.mergeable = mergeable;
        this.how = how;
        this.kernel = parts.get(0).region().kernel;
    }

    static void apply(List<Part> parts, boolean mergeable, Unmerge how) {
        RegionEvents.record(parts, mergeable, () -> applyUnrecorded(parts, mergeable, how));
    }

    static void applyUnrecorded(List<Part> parts, boolean mergeable, Unmerge how) {
        Set<RegionState> regions = new LinkedHashSet<>();
        parts.forEach(part -> regions.add(part.region()));
        RegionTable table = SharedTable.TABLE;
        RegionTable.Slot[] slots = regions.stream().map(region -> region.slot).toArray(RegionTable.Slot[]::new);
        RegionTable.Slot closed = table.acquire(slots);
        if (closed != null) {
            throw regions.stream()
                    .filter(region -> region.slot == closed)
                    .findFirst()
                    .orElseThrow()
                    .closedException();
        }
        try {
            for (RegionState region : regions) {
                requireChangeable(region, mergeable);
            }
            new Change(parts, mergeable, how).run();
        } finally {
            for (RegionTable.Slot slot : slots) {
                table.release(slot, 0, 0);
            }
        }
    }

    private static void requireChangeable(RegionState region, boolean mergeable) {
        if (mergeable && (region.slot.state() & RegionTable.EXCLUDED) != 0) {
            throw new IllegalStateException("region " + region + " was opened with Marking.NEVER: it must not merge");
        }
        region.requireMemory();
    }

    private void run() {
        updateTable();
        try {
            if (mergeable) {
                kernel.madvise(advised, Linux.MADV_MERGEABLE);
                kernel.requireTaken(parts.stream()
                        .filter(part -> part.region().verify)
                        .map(part -> AddressRange.between(part.from(), part.to()))
                        .toList());
            } else {
                kernel.unmerge(advised, how);
            }
        } catch (Throwable t) {
            if (!UnmergeRefusedException.hasChangedNothing(t)) {
                restoreKernel();
            }
            restoreTable();
            throw t;
        }
    }

    /** Readers see the new state a moment before the kernel does; at every quiet moment both say the same. */
    private void updateTable() {
        long now = System.currentTimeMillis();
        table.lock.lock();
        try {
            for (Part part : parts) {
                int base = part.region().slot.node;
                int known = before.size();
                table.forEachWantedBy(
                        base,
                        part.from(),
                        part.to(),
                        (from, to, since) -> before.add(new Wanted(part, from, to, since)));
                if (mergeable) {
                    table.forEachUnwanted(part.from(), part.to(), 0, (from, to, since) -> change(from, to));
                    table.want(part.region().slot, part.from(), part.to(), now);
                    advised.add(AddressRange.between(part.from(), part.to()));
                } else {
                    table.unwant(base, part.from(), part.to());
                    for (Wanted wanted : before.subList(known, before.size())) {
                        table.forEachUnwanted(wanted.from(), wanted.to(), 0, (from, to, since) -> change(from, to));
                    }
                }
            }
            if (!mergeable) {
                for (Part part : parts) {
                    table.forEachUnwanted(
                            part.from(),
                            part.to(),
                            0,
                            (from, to, since) -> advised.add(AddressRange.between(from, to)));
                }
            }
        } finally {
            table.lock.unlock();
        }
    }

    private void change(long from, long to) {
        changed.add(AddressRange.between(from, to));
        table.mergeableBytes.add(mergeable ? to - from : from - to);
    }

    private void restoreKernel() {
        kernel.undo(changed, mergeable ? Linux.MADV_UNMERGEABLE : Linux.MADV_MERGEABLE);
    }

    private void restoreTable() {
        table.lock.lock();
        try {
            for (Part part : parts) {
                table.unwant(part.region().slot.node, part.from(), part.to());
            }
            for (Wanted wanted : before) {
                table.want(wanted.part().region().slot, wanted.from(), wanted.to(), wanted.since());
            }
            for (AddressRange range : changed) {
                table.mergeableBytes.add(mergeable ? -range.length() : range.length());
            }
        } finally {
            table.lock.unlock();
        }
    }
}
