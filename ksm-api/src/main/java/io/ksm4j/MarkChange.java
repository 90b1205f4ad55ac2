// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.JdkModules;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.internal.linux.Linux;
import io.ksm4j.internal.linux.Smaps;
import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.internal.registry.Slot;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Marks or unmarks parts of regions, either all or none of them. Regions may share pages. A page stays mergeable while
 * at least one open region wants it: marking passes the whole part to the kernel, unmarking only those pages that no
 * other region wants.
 *
 * <p>The steps: own the regions, plan the kernel calls, and reserve everything that the change needs. Then make the
 * kernel calls. Then change the table, which cannot fail; if the kernel has refused a call, undo the calls before it
 * instead.
 */
final class MarkChange implements Kernel.Attempt {

    /**
     * A part of a region. Its bounds are page boundaries inside the region. The parts of one change are either one part
     * of one region, or whole regions.
     */
    record Part(RegionState region, long from, long to) {

        AddressRange range() {
            return AddressRange.between(from, to);
        }
    }

    /** A part that a region wanted before the change, and since when. */
    private record Wanted(Part part, long since) {}

    private final List<Part> parts;
    private final boolean mergeable;
    private final RegionState[] regions;
    private final Slot[] slots;
    private final RegionTable table;
    private final Kernel kernel;

    /** The ranges for which to check that the kernel has set the mark. */
    private final List<AddressRange> verified;

    /** When each part became wanted; null for now. */
    private final long @Nullable [] since;

    /** The parts that the regions wanted before the change. */
    private final List<Wanted> before = new ArrayList<>();

    /** The entries for the table. */
    private final List<RegionTable.Want> wants = new ArrayList<>();

    /** The ranges for the kernel calls. */
    private final List<AddressRange> advised = new ArrayList<>();

    /**
     * The ranges that no region wanted before (marking), or that none wants afterwards (unmarking): these are undone on
     * failure.
     */
    private final List<AddressRange> changed = new ArrayList<>();

    /** The number of parts for which the table has reserved nodes. */
    private int reserved;

    private @Nullable FailedCall failedUndo;

    private MarkChange(List<Part> parts, boolean mergeable, boolean verify, long @Nullable [] since) {
        this.parts = parts;
        this.mergeable = mergeable;
        this.since = since;
        Set<RegionState> distinct = new LinkedHashSet<>();
        List<AddressRange> verified = new ArrayList<>();
        for (Part part : parts) {
            distinct.add(part.region());
            if (verify && part.region().isVerified()) {
                verified.add(part.range());
            }
        }
        this.regions = distinct.toArray(new RegionState[0]);
        this.verified = verified;
        this.slots = new Slot[regions.length];
        for (int i = 0; i < regions.length; i++) {
            slots[i] = regions[i].slot;
        }
        this.kernel = regions[0].kernel;
        this.table = regions[0].table;
    }

    static void apply(List<Part> parts, boolean mergeable, Unmerge how) {
        if (JdkModules.isFlightRecorderInitialized() && RegionEvents.isRecorded(mergeable)) {
            RegionEvents.record(
                    parts.stream()
                            .map(part -> new RegionEvents.Subject(part.range(), part.region().owner))
                            .toList(),
                    mergeable,
                    () -> applyUnrecorded(parts, mergeable, how));
        } else {
            applyUnrecorded(parts, mergeable, how);
        }
    }

    static void applyUnrecorded(List<Part> parts, boolean mergeable, Unmerge how) {
        Kernel kernel = parts.get(0).region().kernel;
        if (!mergeable && kernel.mustCheckBeforeUnmerging(length(parts), how)) {
            unmarkAfterCheck(parts, how);
        } else {
            applyAtOnce(parts, mergeable, null);
        }
    }

    /**
     * Marks or unmarks without the check whether there is enough memory to unmerge.
     *
     * @param failed the call with which the first attempt failed; null if there was none
     */
    static void applyAtOnce(List<Part> parts, boolean mergeable, @Nullable FailedCall failed) {
        new MarkChange(parts, mergeable, mergeable, null).run(failed);
    }

    /** Unmarks if there is enough memory to unmerge the pages. */
    static void unmarkAfterCheck(List<Part> parts, Unmerge how) {
        UnmergeCheck check = parts.get(0).region().kernel.unmergeCheck;
        check.takeTurn();
        try {
            if (how == Unmerge.STEPWISE) {
                unmarkInSteps(parts);
            } else {
                requireRoom(parts);
                applyAtOnce(parts, false, null);
            }
        } finally {
            check.endTurn();
        }
    }

    /**
     * Unmarks step by step, with a check before each step. If a step is refused or fails, the parts of the previous
     * steps are marked again. The caller holds the turn.
     */
    static void unmarkInSteps(List<Part> parts) {
        List<List<Part>> steps = steps(parts);
        List<MarkChange> done = new ArrayList<>(steps.size());
        long bytes = 0;
        try {
            for (int i = 0; i < steps.size(); i++) {
                List<Part> step = steps.get(i);
                requireRoom(
                        parts,
                        step,
                        steps.subList(i, steps.size()).stream()
                                .flatMap(List::stream)
                                .toList(),
                        bytes);
                MarkChange change = new MarkChange(step, false, false, null);
                change.run(null);
                done.add(change);
                bytes += length(step);
            }
        } catch (Throwable t) {
            for (int i = done.size() - 1; i >= 0; i--) {
                done.get(i).revert(t);
            }
            throw t;
        }
    }

    /** Checks that there is enough memory to unmark all parts at once. The caller holds the turn. */
    static void requireRoom(List<Part> parts) {
        requireRoom(parts, parts, parts, 0);
    }

    /**
     * Checks that there is enough memory for one step of unmarking.
     *
     * @param all the parts that the caller requested to unmark
     * @param next the parts that are about to be unmarked
     * @param rest these parts and all that follow
     * @param done the number of bytes that were unmarked before
     */
    private static void requireRoom(List<Part> all, List<Part> next, List<Part> rest, long done) {
        List<AddressRange> ranges = wantedByNoOthers(next);
        all.get(0)
                .region()
                .kernel
                .unmergeCheck
                .requireRoom(
                        () -> "unmarking " + length(all) + " bytes from "
                                + all.get(0).range() + " on",
                        ranges,
                        () -> next.size() == rest.size() ? ranges : wantedByNoOthers(rest),
                        done);
    }

    /** Returns the steps: several small regions together, and larger ones in parts of the length of a step. */
    private static List<List<Part>> steps(List<Part> parts) {
        List<List<Part>> steps = new ArrayList<>();
        List<Part> step = new ArrayList<>();
        long room = UnmergeCheck.STEP;
        for (Part part : parts) {
            long length = part.to() - part.from();
            if (length > room && !step.isEmpty()) {
                steps.add(step);
                step = new ArrayList<>();
                room = UnmergeCheck.STEP;
            }
            if (length <= room) {
                step.add(part);
                room -= length;
                continue;
            }
            for (long from = part.from(); from < part.to(); from += UnmergeCheck.STEP) {
                steps.add(List.of(new Part(part.region(), from, Math.min(part.to(), from + UnmergeCheck.STEP))));
            }
        }
        if (!step.isEmpty()) {
            steps.add(step);
        }
        return steps;
    }

    /** Makes the regions want again what they wanted before this change. */
    private void revert(Throwable reason) {
        if (before.isEmpty()) {
            return;
        }
        try {
            List<Part> again = before.stream().map(Wanted::part).toList();
            long[] times = before.stream().mapToLong(Wanted::since).toArray();
            new MarkChange(again, true, false, times).run(null);
        } catch (KsmException | IllegalStateException e) {
            reason.addSuppressed(e);
        }
    }

    private void run(@Nullable FailedCall failed) {
        try {
            kernel.retrying(this, failed);
        } finally {
            Kernel.report(failedUndo);
        }
    }

    @Override
    public @Nullable FailedCall make() {
        StackRoom.requireForChange();
        int splits = partsThatSplit();
        if (splits > 0 && !kernel.recordsOnly) {
            kernel.mappingReserve.take(
                    2 * splits,
                    mergeable ? "madvise(MADV_MERGEABLE)" : "madvise(MADV_UNMERGEABLE)",
                    parts.get(0).range());
        }
        // Anything that may wait, if only for a lock of the JDK, comes before the regions are owned.
        Smaps mappings = verified.isEmpty() ? null : kernel.proc.openSmaps();
        try {
            NativeBuffers.NativeBuffer buffer = kernel.batchAdvice.bufferFor(parts.size());
            try {
                return makeOwned(mappings, buffer);
            } finally {
                kernel.batchAdvice.giveBack(buffer);
            }
        } finally {
            if (mappings != null) {
                mappings.close();
            }
        }
    }

    private @Nullable FailedCall makeOwned(@Nullable Smaps mappings, NativeBuffers.@Nullable NativeBuffer buffer) {
        Slot closed = table.acquire(slots);
        if (closed != null) {
            throw regionOf(closed).closedException();
        }
        try {
            for (Part part : parts) {
                requireChangeable(part);
            }
            plan();
            return callAndCommit(mappings, buffer);
        } finally {
            Slot.release(slots);
        }
    }

    private RegionState regionOf(Slot slot) {
        int i = 0;
        while (slots[i] != slot) {
            i++;
        }
        return regions[i];
    }

    private void requireChangeable(Part part) {
        RegionState region = part.region();
        if (mergeable && region.slot.is(Slot.EXCLUDED)) {
            throw new IllegalStateException("region " + region + " was opened with Marking.NEVER: it must not merge");
        }
        if (mergeable && region.slot.is(Slot.YIELDING) && table.isExcluded(part.from(), part.to())) {
            throw new IllegalStateException(part.range() + " contains memory that must not merge");
        }
        region.requireMemory();
    }

    /**
     * Plans the change. Until they are released, owned regions and those that overlap them do not change, so the plan
     * is still valid after the kernel calls.
     */
    private void plan() {
        before.clear();
        wants.clear();
        advised.clear();
        changed.clear();
        long now = System.currentTimeMillis();
        for (int i = 0; i < parts.size(); i++) {
            Part part = parts.get(i);
            table.forEachWantedBy(
                    part.region().slot,
                    part.from(),
                    part.to(),
                    (from, to, time) -> before.add(new Wanted(new Part(part.region(), from, to), time)));
            wants.add(new RegionTable.Want(part.region().slot, part.from(), part.to(), since == null ? now : since[i]));
            if (mergeable) {
                advised.add(part.range());
            }
        }
        IntPredicate ignored = mergeable ? base -> false : nodes(parts)::contains;
        for (AddressRange range : joined(parts)) {
            table.forEachUnwanted(range.start(), range.end(), ignored, (from, to, time) -> planned(from, to));
        }
        int partial = parts.size() - wholeRegions();
        table.reserve(partial);
        reserved = partial;
    }

    /** Plans a range that no region wants before marking, or after unmarking. */
    private void planned(long from, long to) {
        if (mergeable) {
            changed.add(AddressRange.between(from, to));
            return;
        }
        advised.add(AddressRange.between(from, to));
        long[] reached = {from};
        table.forEachUnwanted(from, to, base -> false, (start, end, time) -> {
            addChanged(reached[0], start);
            reached[0] = end;
        });
        addChanged(reached[0], to);
    }

    private void addChanged(long from, long to) {
        if (from < to) {
            changed.add(AddressRange.between(from, to));
        }
    }

    /**
     * Returns how many parts may split a mapping: parts of regions, and adopted memory, because it may lie inside a
     * mapping. A whole region that is unmarked was already split off when it was marked.
     */
    private int partsThatSplit() {
        int splits = 0;
        for (Part part : parts) {
            boolean isWhole = part.range().equals(part.region().range);
            splits += isWhole && (!mergeable || !part.region().isAdopted()) ? 0 : 1;
        }
        return splits;
    }

    private int wholeRegions() {
        int whole = 0;
        for (Part part : parts) {
            whole += part.range().equals(part.region().range) ? 1 : 0;
        }
        return whole;
    }

    private @Nullable FailedCall callAndCommit(@Nullable Smaps mappings, NativeBuffers.@Nullable NativeBuffer buffer) {
        boolean mustUndo = false;
        try {
            mustUndo = true;
            FailedCall failed = kernel.batchAdvice.advise(
                    advised, mergeable ? Linux.MADV_MERGEABLE : Linux.MADV_UNMERGEABLE, buffer);
            if (failed != null) {
                return failed;
            }
            if (mappings != null) {
                Kernel.requireTaken(mappings, verified);
            }
            mustUndo = false;
            commit();
            return null;
        } finally {
            if (mustUndo) {
                failedUndo = kernel.undo(changed, mergeable ? Linux.MADV_UNMERGEABLE : Linux.MADV_MERGEABLE);
            }
            if (reserved > 0) {
                table.unreserve(reserved);
                reserved = 0;
            }
        }
    }

    /** Cannot fail, because it allocates nothing and its stack space was checked in advance. */
    private void commit() {
        int promised = reserved;
        reserved = 0;
        table.commit(wants, mergeable, promised);
    }

    // ---- Parts

    static long length(List<Part> parts) {
        long length = 0;
        for (Part part : parts) {
            length += part.to() - part.from();
        }
        return length;
    }

    /**
     * Returns the ranges of some parts that no other region wants. As the regions are not owned, this may change at any
     * time.
     */
    static List<AddressRange> wantedByNoOthers(List<Part> parts) {
        RegionTable table = parts.get(0).region().table;
        List<AddressRange> ranges = new ArrayList<>();
        Set<Integer> nodes = nodes(parts);
        for (AddressRange range : joined(parts)) {
            table.forEachUnwanted(
                    range.start(),
                    range.end(),
                    nodes::contains,
                    (from, to, since) -> ranges.add(AddressRange.between(from, to)));
        }
        return ranges;
    }

    private static Set<Integer> nodes(List<Part> parts) {
        Set<Integer> nodes = new HashSet<>();
        parts.forEach(part -> nodes.add(part.region().slot.node));
        return nodes;
    }

    /** Returns the ranges of the parts in order of address. Ranges that overlap or touch are joined. */
    private static List<AddressRange> joined(List<Part> parts) {
        List<AddressRange> sorted = parts.stream().map(Part::range).sorted().toList();
        List<AddressRange> joined = new ArrayList<>();
        long from = sorted.get(0).start();
        long to = sorted.get(0).end();
        for (AddressRange range : sorted) {
            if (range.start() > to) {
                joined.add(AddressRange.between(from, to));
                from = range.start();
            }
            to = Math.max(to, range.end());
        }
        joined.add(AddressRange.between(from, to));
        return joined;
    }
}
