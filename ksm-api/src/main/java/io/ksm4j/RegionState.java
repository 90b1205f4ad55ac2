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
 * An open region without its Java views: its slot in the {@link RegionTable}, and the calls to the kernel for it. A
 * {@link MergeRegion} refers to its state. So does the cleaner, which closes the region if it becomes unreachable;
 * therefore the state must not refer to the {@code MergeRegion}.
 *
 * <p>While a thread owns the region, it makes the kernel call and does nothing else that can wait. The causes of
 * failures are looked up, files opened and messages logged before or afterwards.
 */
abstract sealed class RegionState implements Runnable permits AllocatedState, AdoptedState {

    /**
     * Unreachable regions that could not be closed. They form a list linked by {@link #nextUnclosed}, so that adding
     * one cannot fail.
     */
    private static final AtomicReference<@Nullable RegionState> UNCLOSED = new AtomicReference<>();

    private static final boolean TRACKS_LEAKS = Boolean.getBoolean(SystemProperties.TRACK_LEAKS);

    /** Returned in place of an errno: the region could not be owned without waiting. */
    private static final int NOT_OWNED = -1;

    final Kernel kernel;
    final RegionTable table;
    final Slot slot;
    final AddressRange range;
    final String owner;

    /** How to unmerge the region's pages, unless a call specifies it. */
    final Unmerge unmerge;

    /**
     * {@link #slot} as the argument for {@link RegionTable#acquire}, created in advance so that closing needs no
     * memory.
     */
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

    /** Does what may fail or wait, before a region is opened. */
    static void prepareOpening() {
        StackRoom.requireForOpening();
        BackgroundTask.startWaiting();
    }

    /**
     * Marks or excludes a new region as its options say. This is the last step of opening: if it fails, nothing is
     * marked that closing would have to unmark.
     */
    void markAsOpened(RegionOptions options) {
        if (options.marking() == Marking.MERGEABLE) {
            mark(true, options.unmerge());
        } else if (options.marking() == Marking.NEVER) {
            exclude();
        }
    }

    /**
     * Excludes the region in case the whole process is or becomes opted in. A kernel without KSM merges nothing, so
     * failures for that reason are ignored.
     */
    private void exclude() {
        try {
            mark(false, unmergeToExclude());
        } catch (KsmUnsupportedException e) {
            if (e.failedCall().filter(call -> call.errno() == Linux.EINVAL).isEmpty()) {
                throw e;
            }
        }
    }

    /**
     * {@return whether the memory was not mapped by ksm4j, so that marking it may split a mapping, and the kernel may
     * ignore a mark}
     */
    abstract boolean isAdopted();

    /**
     * {@return whether to check that the kernel has set a mark: it accepts the advice even for memory that can never
     * merge}
     */
    abstract boolean isVerified();

    /** {@return what to check before a new region is excluded from merging} */
    abstract Unmerge unmergeToExclude();

    /** {@return whether the memory still exists, as far as its owner can tell} */
    abstract boolean isAlive();

    /**
     * Discards pages of allocated memory.
     *
     * @throws UnsupportedOperationException if the memory is adopted
     */
    abstract void discard(long from, long length);

    /**
     * Closes the region. Later calls do nothing.
     *
     * @param views Java's access to allocated memory; null if there is none, or none that is still reachable
     */
    abstract void close(@Nullable NativeMapping views);

    boolean isOpen() {
        return slot.isOpen();
    }

    /** Marks or unmarks the whole region. */
    void mark(boolean mergeable, Unmerge how) {
        if (JdkModules.isFlightRecorderInitialized() && RegionEvents.isRecorded(mergeable)) {
            RegionEvents.record(
                    List.of(new RegionEvents.Subject(range, owner)), mergeable, () -> markUnrecorded(mergeable, how));
        } else {
            markUnrecorded(mergeable, how);
        }
    }

    /**
     * Marks or unmarks the whole region. This is the hot path: no lock, no look-up and no allocation, unless another
     * region overlaps or a check is needed.
     */
    void markUnrecorded(boolean mergeable, Unmerge how) {
        if (mergeable && isMarkedWithCare()) {
            MarkChange.applyAtOnce(whole(), true, null);
        } else if (!mergeable && kernel.mustCheckBeforeUnmerging(range.length(), how)) {
            MarkChange.unmarkAfterCheck(whole(), how);
        } else {
            int errno = tryAdvise(mergeable);
            if (errno != 0) {
                MarkChange.applyAtOnce(
                        whole(),
                        mergeable,
                        errno == NOT_OWNED ? null : FailedCall.madvise(advice(mergeable), range, errno));
            }
        }
    }

    /** {@return whether a mark may have to be verified, and may split a mapping} */
    boolean isMarkedWithCare() {
        return isAdopted() && !slot.is(Slot.MARKED);
    }

    final boolean wantsSomething() {
        return slot.is(Slot.MARKED | Slot.PARTIAL);
    }

    static int advice(boolean mergeable) {
        return mergeable ? Linux.MADV_MERGEABLE : Linux.MADV_UNMERGEABLE;
    }

    /**
     * Owns the region, if that needs no lock, and makes the kernel call for all of it.
     *
     * @return 0; {@link #NOT_OWNED}; or the errno, with nothing changed
     */
    private int tryAdvise(boolean mergeable) {
        if (!slot.tryAcquire()) {
            return NOT_OWNED;
        }
        long flags = slot.words[slot.state];
        boolean wasMarked = (flags & Slot.MARKED) != 0;
        boolean isMarked = wasMarked;
        boolean mustUndo = false;
        try {
            requireAlive();
            mustUndo = true;
            int errno = kernel.advise(range.start(), range.length(), advice(mergeable));
            if (errno == 0) {
                isMarked = mergeable;
                mustUndo = false;
            }
            return errno;
        } finally {
            // Near the end of the stack, each of these calls may throw. The rest is then done without calls.
            boolean counted = isMarked == wasMarked;
            boolean released = false;
            try {
                if (mustUndo && mergeable != wasMarked) {
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
        MarkChange.apply(List.of(part(from, to)), mergeable, how);
    }

    /** As {@link #mark(long, long, boolean, Unmerge)}, for {@link ClassPreloader}. */
    void markUnrecorded(long from, long to, boolean mergeable) {
        MarkChange.applyAtOnce(List.of(part(from, to)), mergeable, null);
    }

    final List<MarkChange.Part> whole() {
        return List.of(part(range.start(), range.end()));
    }

    private MarkChange.Part part(long from, long to) {
        return new MarkChange.Part(this, from, to);
    }

    /** Throws an exception unless the memory still exists and belongs to this region. */
    void requireMemory() {
        if (slot.is(Slot.DETACHED)) {
            throw new IllegalStateException(
                    "the memory of " + this + " was unmapped when the region that had allocated it was closed");
        }
        requireAlive();
    }

    /** Throws an exception if the owner of the memory has freed it. */
    void requireAlive() {
        if (!isAlive()) {
            throw new IllegalStateException("the memory of " + this + " no longer exists: its owner has freed it");
        }
    }

    /** Returns the ranges that the kernel has not marked; for a fallback, those that the registry has not. */
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

    /**
     * Returns what each of these regions of one kernel occupies and saves, in their order. Reads {@code smaps} only
     * once where possible.
     */
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
        // If a region was closed during the scan, the memory that replaced it may have been counted.
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

    /**
     * Closes the region, which the program can no longer reach. If that fails, keeps it in the list of regions to close
     * later.
     *
     * @return null, or what closing failed with
     */
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

    /** Tries again to close unreachable regions. */
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
     * Called by the cleaner once neither the region nor a view of it is reachable. Closing comes first: if a web
     * container has closed the class loader, no more classes can be loaded, and reporting the leak may need some.
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
                                + " stays open and marked: there is not enough memory to unmerge its pages. Free memory"
                                + " or raise the limit. The region is closed when another region is opened",
                        failure);
            } else if (failure != null) {
                Log.warning(
                        "could not reclaim region " + this
                                + (isOpen() ? "; retrying when another region is opened" : ""),
                        failure);
            }
            if (JdkModules.FLIGHT_RECORDER) {
                RegionEvents.recordLeak(range, owner);
            }
        } catch (Throwable t) {
            // The region is closed, or will be, even if it cannot be reported.
        }
    }

    @Override
    public String toString() {
        return owner + " at " + range;
    }
}
