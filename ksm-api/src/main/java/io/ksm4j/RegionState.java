// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.JdkModules;
import io.ksm4j.internal.Log;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.internal.SystemProperties;
import io.ksm4j.internal.linux.Linux;
import io.ksm4j.internal.management.BackgroundTask;
import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.internal.registry.Slot;
import io.ksm4j.spi.NativeMapping;
import io.ksm4j.stats.RegionStats;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * An open region without its Java views: its place in the {@link RegionTable} and the way from there to the kernel. A
 * {@link MergeRegion} has one, and the cleaner has the same one to close when that region was forgotten; so it must not refer
 * to the region.
 *
 * <p>While a thread owns the region, it makes the kernel's call and nothing else that waits. Causes of failures are looked up, files
 * opened and messages logged before or after that.
 */
abstract sealed class RegionState implements Runnable permits AllocatedState, AdoptedState {

    /** Regions that are out of reach and could not be closed; a list by {@link #nextUnclosed}, so that adding to it cannot fail. */
    private static final AtomicReference<@Nullable RegionState> UNCLOSED = new AtomicReference<>();

    private static final boolean TRACKS_LEAKS = Boolean.getBoolean(SystemProperties.TRACK_LEAKS);

    /** In place of an error number: the region could not be owned at once. */
    private static final int NOT_OWNED = -1;

    final Kernel kernel;
    final RegionTable table;
    final Slot slot;
    final AddressRange range;
    final String owner;

    /** How the region's merged pages are taken apart, unless the caller says otherwise. */
    final Unmerge unmerge;

    /** {@link #slot} alone, to be owned by {@link RegionTable#acquire}: closing takes no memory. */
    final Slot[] slots;

    private final @Nullable Throwable openedAt;

    /** Whether the region was counted as a leak. */
    private boolean leaked;

    private @Nullable RegionState nextUnclosed;

    RegionState(Kernel kernel, RegionTable table, Slot slot, AddressRange range, String owner, Unmerge unmerge) {
        this.kernel = kernel;
        this.table = table;
        this.slot = slot;
        this.slots = new Slot[] {slot};
        this.range = range;
        this.owner = owner;
        this.unmerge = unmerge;
        this.openedAt = TRACKS_LEAKS
                ? new Throwable(
                        "opened here by thread " + Thread.currentThread().getName())
                : null;
    }

    /** Returns the flags of a new region. */
    static long flags(Kernel kernel, RegionOptions options) {
        return (options.marking() == Marking.NEVER ? Slot.EXCLUDED : 0) | (kernel.recordsOnly ? Slot.RECORDED : 0);
    }

    static String owner(RegionOptions options) {
        return options.name().isEmpty() ? Thread.currentThread().getName() : options.name();
    }

    /** Before a region is opened: what may fail, or wait, comes first. */
    static void prepareOpening() {
        StackRoom.requireForOpening();
        BackgroundTask.startWaiting();
    }

    /** Marks the region as it is to be from the start. The last step of opening it: if this fails, nothing is marked that closing had to unmark. */
    void markAsOpened(RegionOptions options) {
        if (options.marking() == Marking.MERGEABLE) {
            mark(true, options.unmerge());
        } else if (options.marking() == Marking.NEVER) {
            exclude();
        }
    }

    /** Keeps the region out where the process is opted in as a whole. A kernel without KSM merges nothing anyway. */
    private void exclude() {
        try {
            mark(false, unmergeToExclude());
        } catch (KsmUnsupportedException e) {
            if (e.failedCall().filter(call -> call.errno() == Linux.EINVAL).isEmpty()) {
                throw e;
            }
        }
    }

    /** Whether the memory was not mapped by ksm4j: marking it may split a mapping, and the kernel may ignore a mark. */
    abstract boolean isAdopted();

    /** Whether to check that the kernel took a mark: it accepts advice on memory that can never merge. */
    abstract boolean isVerified();

    /** What to do before a new region is excluded from merging. */
    abstract Unmerge unmergeToExclude();

    /** Whether the memory still exists, as far as its owner can say. */
    abstract boolean isAlive();

    /**
     * Gives back pages of allocated memory.
     *
     * @throws UnsupportedOperationException if the memory is adopted
     */
    abstract void discard(long from, long length);

    /**
     * Closes the region once; later calls do nothing.
     *
     * @param views Java's access to allocated memory; null if there is none, or none that is still reachable
     */
    abstract void close(@Nullable NativeMapping views);

    boolean isOpen() {
        return slot.isOpen();
    }

    /** Marks or unmarks the whole region. */
    void mark(boolean mergeable, Unmerge how) {
        if (JdkModules.FLIGHT_RECORDER && RegionEvents.isRecorded(mergeable)) {
            RegionEvents.record(
                    List.of(new RegionEvents.Subject(range, owner)), mergeable, () -> markUnrecorded(mergeable, how));
        } else {
            markUnrecorded(mergeable, how);
        }
    }

    /** The hot path: no lock, no look-up and no allocation, if no region overlaps and there is nothing to look at. */
    void markUnrecorded(boolean mergeable, Unmerge how) {
        if (mergeable && isAdopted() && !isMarked()) {
            // There may be something to look at, and the mapping may be split.
            Change.applyAtOnce(whole(), true, null);
        } else if (!mergeable && kernel.mustLookBeforeUnmerging(range.length(), how)) {
            Change.unmarkAfterLook(whole(), how);
        } else {
            int errno = tryAdvise(mergeable);
            if (errno != 0) {
                Change.applyAtOnce(
                        whole(),
                        mergeable,
                        errno == NOT_OWNED ? null : FailedCall.madvise(advice(mergeable), range, errno));
            }
        }
    }

    private boolean isMarked() {
        return slot.is(Slot.MARKED);
    }

    final boolean wantsSomething() {
        return slot.is(Slot.MARKED | Slot.PARTIAL);
    }

    private static int advice(boolean mergeable) {
        return mergeable ? Linux.MADV_MERGEABLE : Linux.MADV_UNMERGEABLE;
    }

    /**
     * Owns the region, if that can be without the lock, and tells the kernel of all of it.
     *
     * @return 0; {@link #NOT_OWNED}; or the error number, with nothing changed
     */
    private int tryAdvise(boolean mergeable) {
        if (!slot.tryAcquire()) {
            return NOT_OWNED;
        }
        long flags = slot.words[slot.state];
        boolean wasMarked = (flags & Slot.MARKED) != 0;
        boolean isMarked = wasMarked;
        boolean told = false;
        try {
            requireAlive();
            told = true;
            int errno = kernel.advise(range.start(), range.length(), advice(mergeable));
            if (errno == 0) {
                isMarked = mergeable;
                told = false;
            }
            return errno;
        } finally {
            // Near the end of the stack each of these calls may throw. What must be done is then done without a call.
            boolean counted = isMarked == wasMarked;
            boolean released = false;
            try {
                if (told && mergeable != wasMarked) {
                    kernel.undo(range, advice(wasMarked));
                }
                if (isMarked != wasMarked) {
                    if (isMarked) {
                        slot.setSince(System.currentTimeMillis());
                    }
                    table.mergeableBytes.addAndGet(isMarked ? range.length() : -range.length());
                    counted = true;
                }
                slot.release(isMarked ? Slot.MARKED : 0, isMarked ? 0 : Slot.MARKED);
                released = true;
            } finally {
                if (!released) {
                    slot.words[slot.state] = (flags & ~(Slot.BUSY | Slot.MARKED))
                            | (isMarked ? Slot.MARKED : 0)
                            | (counted ? 0 : Slot.UNCOUNTED);
                }
            }
        }
    }

    /** Marks or unmarks a part, where pages may be shared with other regions. */
    void mark(long from, long to, boolean mergeable, Unmerge how) {
        Change.apply(List.of(part(from, to)), mergeable, how);
    }

    /** As {@link #mark(long, long, boolean, Unmerge)}, for {@link ClassPreloader}. */
    void markUnrecorded(long from, long to, boolean mergeable) {
        Change.applyAtOnce(List.of(part(from, to)), mergeable, null);
    }

    final List<Change.Part> whole() {
        return List.of(part(range.start(), range.end()));
    }

    private Change.Part part(long from, long to) {
        return new Change.Part(this, from, to);
    }

    /** That the memory still is this region's. */
    void requireMemory() {
        if (slot.is(Slot.DETACHED)) {
            throw new IllegalStateException(
                    "the memory of " + this + " was unmapped when the region it belongs to was closed");
        }
        requireAlive();
    }

    private void requireAlive() {
        if (!isAlive()) {
            throw new IllegalStateException("the memory of " + this + " is no longer alive: its owner has freed it");
        }
    }

    /** What the kernel has not marked; for a kernel that is told nothing, what the registry has not. */
    List<AddressRange> unmarkedRanges() {
        if (!kernel.recordsOnly) {
            return kernel.proc.notMergeable(List.of(range));
        }
        List<AddressRange> unmarked = new ArrayList<>();
        table.forEachUnwanted(
                range.start(),
                range.end(),
                base -> false,
                (from, to, since) -> unmarked.add(AddressRange.between(from, to)));
        return unmarked;
    }

    /** What regions of one kernel occupy and save, in their order; in one pass over {@code smaps} if that can be. */
    static List<RegionStats> stats(List<RegionState> regions) {
        regions.forEach(RegionState::requireReadable);
        if (regions.isEmpty()) {
            return List.of();
        }
        Kernel kernel = regions.get(0).kernel;
        if (kernel.recordsOnly) {
            return Collections.nCopies(regions.size(), RegionStats.NONE);
        }
        List<RegionScan.Owner> owners = regions.stream()
                .map(region -> new RegionScan.Owner(region.slot, region.range))
                .toList();
        RegionScan scan = new RegionScan(
                kernel, owners.stream().map(RegionScan.Owner::range).toList(), owners);
        scan.run();
        // What was closed while it was being read may have been counted as what came after it.
        regions.forEach(RegionState::requireReadable);
        return regions.stream().map(region -> scan.statsOf(region.range)).toList();
    }

    private void requireReadable() {
        if (!isOpen()) {
            throw closedException();
        }
        requireMemory();
    }

    IllegalStateException closedException() {
        return new IllegalStateException("region " + this + " is closed");
    }

    /** Closes the region, or remembers that it must be: it is out of the program's reach. */
    @Nullable
    Throwable closeOrKeep() {
        try {
            close(null);
            return null;
        } catch (Throwable t) {
            if (isOpen()) {
                keep();
            }
            return t;
        }
    }

    private void keep() {
        do {
            nextUnclosed = UNCLOSED.get();
        } while (!UNCLOSED.compareAndSet(nextUnclosed, this));
    }

    /** Tries again to close regions that are out of reach. */
    static void closeUnclosed() {
        RegionState state = UNCLOSED.get() == null ? null : UNCLOSED.getAndSet(null);
        while (state != null) {
            RegionState next = state.nextUnclosed;
            Throwable failure = state.closeOrKeep();
            if (failure != null) {
                Log.debug("region " + state + " still cannot be closed", failure);
            }
            state = next;
        }
    }

    /**
     * What the cleaner does once neither the region nor a view of it is reachable. It closes first: where a web container has stopped the class
     * loader, no class can be loaded any more, and telling about it may need some.
     */
    @Override
    public void run() {
        if (!isOpen()) {
            return;
        }
        Throwable failure = closeOrKeep();
        if (!leaked) {
            leaked = true;
            table.leaks.incrementAndGet();
            reportLeak(failure);
        }
    }

    private void reportLeak(@Nullable Throwable failure) {
        try {
            Log.warning(
                    "region " + this + " was never closed; it is reclaimed now."
                            + (openedAt == null
                                    ? " Run with -Dio.ksm4j.trackLeaks=true to see where it was opened."
                                    : ""),
                    openedAt);
            if (failure instanceof UnmergeRefusedException) {
                Log.warning(
                        "region " + this
                                + " stays open and marked: there is no memory to take its merged pages apart. Free"
                                + " memory or raise the limit; when a region is next opened, this one is closed",
                        failure);
            } else if (failure != null) {
                Log.warning(
                        "could not reclaim region " + this
                                + (isOpen() ? "; when a region is next opened, that is tried again" : ""),
                        failure);
            }
            if (JdkModules.FLIGHT_RECORDER) {
                RegionEvents.recordLeak(range, owner);
            }
        } catch (Throwable t) {
            // The region is closed all the same, or will be.
        }
    }

    @Override
    public String toString() {
        return owner + " at " + range;
    }
}
