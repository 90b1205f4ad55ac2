package io.ksm4j;

import io.ksm4j.internal.Backoff;
import io.ksm4j.internal.JdkModules;
import io.ksm4j.internal.Log;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.internal.SystemProperties;
import io.ksm4j.internal.linux.Linux;
import io.ksm4j.internal.management.LaterWork;
import io.ksm4j.internal.management.SharedTable;
import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.internal.registry.Slot;
import io.ksm4j.spi.NativeMapping;
import io.ksm4j.stats.RegionStats;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * An open region without its Java views: its place in the {@link RegionTable} and the way from there to the kernel. A
 * {@link MergeRegion} has one, and the cleaner has the same one to close when that region was forgotten; so it must not refer
 * to the region.
 *
 * <p>While a thread owns the region, it makes the kernel's call and nothing else that waits. Causes of failures are looked up, files
 * opened and messages logged before or after that.
 */
final class RegionState implements Runnable, Kernel.Attempt {

    /** The open regions of this copy of ksm4j whose owners can tell whether the memory still exists, by node. */
    private static final Map<Integer, RegionState> GUARDED = new ConcurrentHashMap<>();

    /** Regions that are out of reach and could not be closed; a list by {@link #nextUnclosed}, so that adding to it cannot fail. */
    private static final AtomicReference<@Nullable RegionState> UNCLOSED = new AtomicReference<>();

    private static final boolean TRACKS_LEAKS = Boolean.getBoolean(SystemProperties.TRACK_LEAKS);

    /** In place of an error number: the region could not be owned at once. */
    private static final int NOT_OWNED = -1;

    /** In {@link #discarding}: the region is being closed. Added twice it is 0. */
    private static final int CLOSING = Integer.MIN_VALUE;

    final Kernel kernel;
    final RegionTable table;
    final Slot slot;
    final AddressRange range;
    final String owner;

    /** All that {@code mmap} returned, guard pages included; null if the memory was adopted. */
    private final @Nullable MappedMemory mapped;

    /** Says whether adopted memory still exists; null if that is not known. */
    private final @Nullable BooleanSupplier alive;

    /** Adopted memory that lives as long as this object; null once the region is closed, or if it was adopted by address. */
    @SuppressWarnings("UnusedVariable") // Being referred to is what keeps the memory.
    private volatile @Nullable Object memoryHolder;

    /** Whether to look whether the kernel took a mark: it accepts advice on memory that can never merge. */
    final boolean verify;

    /** How the region's merged pages are taken apart, unless the caller says otherwise. */
    final Unmerge unmerge;

    /** {@link #slot} alone, to be owned by {@link RegionTable#acquire}: closing takes no memory. */
    private final Slot[] slots;

    private final @Nullable Throwable openedAt;

    /** In {@link #GUARDED}; null if it is not there. */
    private final @Nullable Integer key;

    /** How many threads are giving pages back, with {@link #CLOSING} added when no other may begin: what was unmapped may be another's. */
    private final AtomicInteger discarding = new AtomicInteger();

    /** Whether parts of adopted memory were unmapped before the region was closed. */
    private volatile boolean hasGaps;

    /** Whether the region was counted as a leak. */
    private boolean leaked;

    private @Nullable RegionState nextUnclosed;

    private RegionState(
            Kernel kernel,
            RegionTable table,
            Slot slot,
            AddressRange range,
            String owner,
            @Nullable MappedMemory mapped,
            @Nullable BooleanSupplier alive,
            @Nullable Object memoryHolder,
            boolean verify,
            Unmerge unmerge) {
        this.kernel = kernel;
        this.table = table;
        this.slot = slot;
        this.slots = new Slot[] {slot};
        this.range = range;
        this.owner = owner;
        this.mapped = mapped;
        this.alive = alive;
        this.memoryHolder = memoryHolder;
        this.verify = verify;
        this.unmerge = unmerge;
        this.openedAt = TRACKS_LEAKS
                ? new Throwable(
                        "opened here by thread " + Thread.currentThread().getName())
                : null;
        this.key = alive == null ? null : slot.node;
    }

    /** Registers memory that ksm4j has mapped itself: private and anonymous, so that every mark is taken. */
    static RegionState ofAllocated(Kernel kernel, AddressRange range, MappedMemory mapped, RegionOptions options) {
        return open(kernel, SharedTable.table(), range, mapped, null, null, options);
    }

    /** Registers memory that was not allocated through ksm4j. */
    static RegionState ofAdopted(
            Kernel kernel,
            AddressRange range,
            @Nullable BooleanSupplier alive,
            @Nullable Object memoryHolder,
            RegionOptions options) {
        return open(kernel, SharedTable.table(), range, null, alive, memoryHolder, options);
    }

    static RegionState open(
            Kernel kernel,
            RegionTable table,
            AddressRange range,
            @Nullable MappedMemory mapped,
            @Nullable BooleanSupplier alive,
            @Nullable Object memoryHolder,
            RegionOptions options) {
        StackRoom.requireForOpening();
        LaterWork.startWaiting();
        long flags = (options.marking() == Marking.NEVER ? Slot.EXCLUDED : 0)
                | (kernel.recordsOnly ? Slot.RECORDED : 0)
                | (alive != null ? Slot.GUARDED : 0);
        String owner = options.name().isEmpty() ? Thread.currentThread().getName() : options.name();
        Slot slot = mapped != null
                ? table.openMapped(range.start(), range.end(), mapped.start(), mapped.end(), flags, owner)
                : table.open(range.start(), range.end(), flags, owner);
        RegionState state = null;
        try {
            state = new RegionState(
                    kernel,
                    table,
                    slot,
                    range,
                    owner,
                    mapped,
                    alive,
                    memoryHolder,
                    mapped == null && options.verify() && !kernel.recordsOnly,
                    options.unmerge());
            if (state.key != null) {
                GUARDED.put(state.key, state);
            }
            if (mapped != null && slot.is(Slot.OVERLAPPED)) {
                // A region that stands for memory that is gone may have marked the new memory before it was detached.
                Kernel.report(kernel.undo(range, Linux.MADV_UNMERGEABLE));
            }
            return state;
        } catch (Throwable t) {
            table.close(slot);
            if (state != null && state.key != null) {
                GUARDED.remove(state.key, state);
            }
            throw t;
        }
    }

    /**
     * Whether a region's memory is known to exist. It is not where the memory's owner can free it and another copy of ksm4j has opened the
     * region.
     */
    static boolean isKnownAlive(Slot slot) {
        if (!slot.is(Slot.GUARDED)) {
            return true;
        }
        RegionState state = GUARDED.get(slot.node);
        return state != null && state.isAlive();
    }

    private boolean isAlive() {
        return alive == null || alive.getAsBoolean();
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
            // What ksm4j has just mapped cannot be merged yet.
            mark(false, isAdopted() ? unmerge : Unmerge.UNCHECKED);
        } catch (KsmUnsupportedException e) {
            if (e.failedCall().filter(call -> call.errno() == Linux.EINVAL).isEmpty()) {
                throw e;
            }
        }
    }

    boolean isAdopted() {
        return mapped == null;
    }

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
                        errno == NOT_OWNED ? null : Kernel.failedAdvice(advice(mergeable), range, errno));
            }
        }
    }

    private boolean isMarked() {
        return slot.is(Slot.MARKED);
    }

    private boolean wantsSomething() {
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

    /** As {@link #mark(long, long, boolean, Unmerge)}, for {@link Rehearsal}. */
    void markUnrecorded(long from, long to, boolean mergeable) {
        Change.applyAtOnce(List.of(part(from, to)), mergeable, null);
    }

    private List<Change.Part> whole() {
        return List.of(part(range.start(), range.end()));
    }

    private Change.Part part(long from, long to) {
        return new Change.Part(this, from, to);
    }

    /** Gives back pages of allocated memory. */
    void discard(long from, long length) {
        if (mapped == null) {
            throw new UnsupportedOperationException(
                    "the memory of region " + this + " is adopted: its owner may discard it");
        }
        beginDiscarding();
        try {
            kernel.discard(from, length);
        } finally {
            discarding.getAndDecrement();
        }
    }

    private void beginDiscarding() {
        if (discarding.getAndIncrement() >= 0 && isOpen()) {
            return;
        }
        discarding.getAndDecrement();
        Backoff backoff = new Backoff();
        try {
            // A close that fails leaves the region open.
            while (isOpen()) {
                int threads = discarding.get();
                if (threads >= 0 && discarding.compareAndSet(threads, threads + 1)) {
                    return;
                }
                backoff.pause();
            }
        } finally {
            backoff.end();
        }
        throw closedException();
    }

    /** Waits until no thread is giving pages back, and keeps others from beginning. */
    private void endDiscarding() {
        if (discarding.compareAndSet(0, CLOSING)) {
            return;
        }
        Backoff backoff = new Backoff();
        try {
            while (!discarding.compareAndSet(0, CLOSING)) {
                backoff.pause();
            }
        } finally {
            backoff.end();
        }
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

    /**
     * Closes the region once; later calls do nothing.
     *
     * @param views Java's access to allocated memory; null if there is none, or none that is still reachable
     */
    void close(@Nullable NativeMapping views) {
        if (mapped == null) {
            closeAdopted();
        } else {
            closeAllocated(mapped, views);
        }
    }

    /** Takes back the advice this region asked for, where no other region wants it, and leaves the memory to its owner. */
    private void closeAdopted() {
        long length = 0;
        if (isOpen() && wantsSomething() && isAlive()) {
            for (AddressRange freed : withdrawn()) {
                length += freed.length();
            }
        }
        if (length > 0 && kernel.mustLookBeforeUnmerging(length, unmerge)) {
            UnmergeCheck check = kernel.unmergeCheck;
            check.takeTurn();
            try {
                if (unmerge == Unmerge.STEPWISE) {
                    Change.unmarkInSteps(whole());
                } else {
                    Change.requireRoom(whole());
                }
                withdraw();
            } finally {
                check.endTurn();
            }
        } else {
            withdraw();
        }
        memoryHolder = null;
    }

    private void withdraw() {
        try {
            kernel.retrying(this, null);
        } catch (UnmappedRangeException e) {
            // Of memory that its owner has unmapped, the advice has gone, too.
            hasGaps = true;
            Log.debug("memory was unmapped before its region was closed", e);
            kernel.retrying(this, null);
        }
    }

    /** What is told to the kernel when this region goes: what it wants, and no other region does. */
    private List<AddressRange> withdrawn() {
        List<AddressRange> freed = wantedAlone();
        // A process that is opted in stays so.
        return freed.isEmpty() || kernel.isOptedIn() ? List.of() : freed;
    }

    /** Returns what this region wants and no other region does. */
    private List<AddressRange> wantedAlone() {
        List<AddressRange> ranges = new ArrayList<>();
        table.forEachWantedBy(
                slot,
                (from, to, since) -> table.forEachUnwanted(
                        from,
                        to,
                        base -> base == slot.node,
                        (start, end, never) -> ranges.add(AddressRange.between(start, end))));
        return ranges;
    }

    /** Withdraws from adopted memory. */
    @Override
    public @Nullable FailedCall make() {
        StackRoom.requireForChange();
        if (!slot.tryAcquire() && table.acquire(slots) != null) {
            return null;
        }
        boolean closed = false;
        FailedCall notTakenBack = null;
        try {
            // Where nothing is wanted, as after opening has failed, closing needs no memory.
            List<AddressRange> freed = wantsSomething() ? wantedAlone() : null;
            if (freed != null && !freed.isEmpty() && isAlive() && !kernel.isOptedIn()) {
                boolean told = true;
                try {
                    FailedCall failed = hasGaps
                            ? kernel.adviseMapped(freed, Linux.MADV_UNMERGEABLE)
                            : kernel.advise(freed, Linux.MADV_UNMERGEABLE, null);
                    if (failed != null) {
                        return failed;
                    }
                    told = false;
                } finally {
                    if (told) {
                        notTakenBack = kernel.undo(freed, Linux.MADV_MERGEABLE);
                    }
                }
            }
            closeInTable(null);
            closed = true;
            return null;
        } finally {
            if (!closed) {
                slot.release(0, 0);
            }
            Kernel.report(notTakenBack);
        }
    }

    /**
     * Removes the region from the table. Allocates nothing, so it does not fail. The slot is stale afterwards and need not be released.
     *
     * @param others regions that are detached from its memory; null if the memory stays
     */
    private void closeInTable(int @Nullable [] others) {
        if (others == null) {
            table.close(slot);
        } else {
            table.close(slot, others);
        }
        if (key != null) {
            GUARDED.remove(key, this);
        }
    }

    /** Of allocated memory nothing stays mergeable, whatever other regions want: the pages are about to go. */
    private void closeAllocated(MappedMemory memory, @Nullable NativeMapping views) {
        StackRoom.requireForChange();
        // Before the region is owned: an owner waits for nothing.
        endDiscarding();
        boolean reachable;
        try {
            if (!slot.tryAcquire() && table.acquire(slots) != null) {
                return;
            }
            int[] others = null;
            boolean closed = false;
            try {
                others = table.reserveToDetach(slot);
                boolean wasMergeable = table.isAnyWanted(slot);
                reachable = views != null && !views.revoke();
                if (reachable) {
                    // Before the region leaves the table: a buffer may be adopted from then on, and be marked.
                    emptyPages(wasMergeable);
                }
                closeInTable(others);
                closed = true;
            } finally {
                if (!closed) {
                    if (others != null) {
                        table.unreserveToDetach(others);
                    }
                    slot.release(0, 0);
                }
            }
        } finally {
            discarding.getAndAdd(CLOSING);
        }
        if (reachable && views != null) {
            memory.shrinkTo(range);
            memory.unmapLater(views);
        } else {
            memory.unmap();
        }
    }

    /** Gives the pages back while buffers that cannot be revoked reach them. Dropping them first leaves nothing for unmarking to copy. */
    private void emptyPages(boolean isMergeable) {
        int errno = kernel.tryDiscard(range.start(), range.length());
        if (errno == Linux.EINVAL) {
            // Locked memory, before Linux 5.18: it stays resident, but old bytes must not stay readable.
            kernel.clear(range);
        } else if (errno != 0) {
            throw kernel.explain(Kernel.failedAdvice(Linux.MADV_DONTNEED, range, errno));
        }
        // There is no way back from here: the bytes are gone.
        boolean isMarked = isMergeable;
        for (int attempts = 0; isMarked && attempts < 2; attempts++) {
            try {
                isMarked = !kernel.isOptedIn()
                        && kernel.advise(range.start(), range.length(), Linux.MADV_UNMERGEABLE) != 0;
            } catch (Throwable t) {
                // Once more, if it was the first time.
            }
        }
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
