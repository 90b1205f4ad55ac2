package io.ksm4j;

import io.ksm4j.spi.NativeMapping;
import io.ksm4j.stats.RegionStats;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.StampedLock;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * An open region without its Java views: its place in the {@link RegionTable} and the way from there to the kernel. A
 * {@link MergeRegion} has one, and the cleaner has the same one to close when that region was forgotten; so it must not refer
 * to the region.
 */
final class RegionState implements Runnable {

    /** Loaded now: a region may be forgotten and reclaimed after its class loader was closed, when no class can be loaded any more. */
    @SuppressWarnings("unused")
    private static final List<Class<?>> NEEDED_TO_RECLAIM = List.of(
            AddressRange.class,
            RegionEvents.class,
            RegionTable.NodeVisitor.class,
            RegionTable.RangeVisitor.class,
            UnmappedRangeException.class,
            UnmergeRefusedException.class,
            Wanted.class);

    /** The open regions of this copy of ksm4j whose owners can tell whether the memory still exists, by node. */
    private static final Map<Integer, RegionState> GUARDED = new ConcurrentHashMap<>();

    /** Forgotten regions that stay open because there was no memory to take their merged pages apart. */
    private static final Queue<RegionState> REFUSED = new ConcurrentLinkedQueue<>();

    final Kernel kernel;
    final RegionTable table;
    final RegionTable.Slot slot;
    final AddressRange range;
    final String owner;

    /** All that {@code mmap} returned, guard pages included; null if the memory was adopted. */
    private final @Nullable AddressRange mapped;

    /** Says whether adopted memory still exists; null if nobody can tell. */
    private final @Nullable BooleanSupplier alive;

    /** Adopted memory that lives as long as this object; null once the region is closed, or if it was adopted by address. */
    @SuppressWarnings("UnusedVariable") // Nobody reads it: being referred to is what keeps the memory.
    private volatile @Nullable Object memoryHolder;

    /** Whether to look whether the kernel took a mark: it accepts advice on memory that can never merge. */
    final boolean verify;

    /** How the region's merged pages are taken apart, unless the caller says otherwise. */
    final Unmerge unmerge;

    private final @Nullable Throwable openedAt;

    /** Discarding pages takes it for reading, closing an allocated region for writing: what was unmapped may be another's. */
    private final StampedLock unmapping = new StampedLock();

    private RegionState(
            Kernel kernel,
            RegionTable.Slot slot,
            AddressRange range,
            String owner,
            @Nullable AddressRange mapped,
            @Nullable BooleanSupplier alive,
            @Nullable Object memoryHolder,
            boolean verify,
            Unmerge unmerge) {
        this.kernel = kernel;
        this.table = SharedTable.TABLE;
        this.slot = slot;
        this.range = range;
        this.owner = owner;
        this.mapped = mapped;
        this.alive = alive;
        this.memoryHolder = memoryHolder;
        this.verify = verify;
        this.unmerge = unmerge;
        this.openedAt = Ksm.TRACK_LEAKS
                ? new Throwable(
                        "opened here by thread " + Thread.currentThread().getName())
                : null;
    }

    /** Registers memory that ksm4j has mapped itself: private and anonymous, so that every mark is taken. */
    static RegionState ofAllocated(Kernel kernel, AddressRange range, AddressRange mapped, RegionOptions options) {
        return open(kernel, range, mapped, null, null, options);
    }

    /** Registers memory of somebody else. */
    static RegionState ofAdopted(
            Kernel kernel,
            AddressRange range,
            @Nullable BooleanSupplier alive,
            @Nullable Object memoryHolder,
            RegionOptions options) {
        return open(kernel, range, null, alive, memoryHolder, options);
    }

    private static RegionState open(
            Kernel kernel,
            AddressRange range,
            @Nullable AddressRange mapped,
            @Nullable BooleanSupplier alive,
            @Nullable Object memoryHolder,
            RegionOptions options) {
        RegionTable table = SharedTable.TABLE;
        long flags = (options.marking() == Marking.NEVER ? RegionTable.EXCLUDED : 0)
                | (kernel.recordsOnly ? RegionTable.RECORDED : 0)
                | (alive != null ? RegionTable.GUARDED : 0);
        String owner = options.name().isEmpty() ? Thread.currentThread().getName() : options.name();
        RegionTable.Slot slot;
        table.lock.lock();
        try {
            slot = mapped == null
                    ? table.open(range.start(), range.end(), flags, owner)
                    : table.openNew(range.start(), range.end(), flags, owner);
        } finally {
            table.lock.unlock();
        }
        RegionState state = new RegionState(
                kernel,
                slot,
                range,
                owner,
                mapped,
                alive,
                memoryHolder,
                mapped == null && options.verify() && !kernel.recordsOnly,
                options.unmerge());
        if (alive != null) {
            GUARDED.put(slot.node, state);
        }
        if (mapped != null) {
            state.detachForerunners();
        }
        return state;
    }

    /** The kernel has mapped new memory at addresses that an adopted region still stands for, though its memory is gone. */
    private void detachForerunners() {
        if ((slot.state() & RegionTable.OVERLAPPED) == 0 || table.acquire(new RegionTable.Slot[] {slot}) != null) {
            return;
        }
        table.lock.lock();
        try {
            detachOverlapping();
        } finally {
            table.lock.unlock();
        }
        // One of them may have marked the new memory before it was detached.
        kernel.undo(List.of(range), Linux.MADV_UNMERGEABLE);
        table.release(slot, 0, 0);
    }

    /**
     * Whether the memory behind a node is known to exist. Of regions that other copies of ksm4j opened it is not, if their owners
     * can free the memory.
     */
    static boolean isKnownAlive(RegionTable table, int node) {
        if (!table.is(node, RegionTable.GUARDED)) {
            return true;
        }
        RegionState state = GUARDED.get(node);
        return state != null && state.isAlive();
    }

    private boolean isAlive() {
        return alive == null || alive.getAsBoolean();
    }

    /** Keeps the region out where the process is opted in as a whole. A kernel without KSM merges nothing anyway. */
    void exclude() {
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
        return slot.isCurrent(slot.state());
    }

    /** Marks or unmarks the whole region. This is the hot path: no lock, no look-up and no allocation if nobody overlaps. */
    void mark(boolean mergeable, Unmerge how) {
        if (RegionEvents.isRecorded(mergeable)) {
            RegionEvents.record(
                    List.of(part(range.start(), range.end())), mergeable, () -> markUnrecorded(mergeable, how));
        } else {
            markUnrecorded(mergeable, how);
        }
    }

    private void markUnrecorded(boolean mergeable, Unmerge how) {
        if (!RegionTable.tryAcquire(slot)) {
            Change.applyUnrecorded(List.of(part(range.start(), range.end())), mergeable, how);
            return;
        }
        boolean wasMarked = (slot.state() & RegionTable.MARKED) != 0;
        boolean isMarked = wasMarked;
        try {
            requireAlive();
            advise(mergeable, wasMarked, how);
            isMarked = mergeable;
        } finally {
            if (isMarked != wasMarked) {
                table.mergeableBytes.add(isMarked ? range.length() : -range.length());
            }
            table.release(slot, isMarked ? RegionTable.MARKED : 0, isMarked ? 0 : RegionTable.MARKED);
        }
    }

    private void advise(boolean mergeable, boolean wasMarked, Unmerge how) {
        try {
            if (!mergeable) {
                kernel.unmerge(range.start(), range.length(), how);
                return;
            }
            kernel.madvise(range.start(), range.length(), Linux.MADV_MERGEABLE);
            if (!wasMarked) {
                if (verify) {
                    kernel.requireTaken(List.of(range));
                }
                RegionTable.setSince(slot, System.currentTimeMillis());
            }
        } catch (RuntimeException | Error e) {
            if (mergeable != wasMarked && !UnmergeRefusedException.hasChangedNothing(e)) {
                kernel.undo(List.of(range), mergeable ? Linux.MADV_UNMERGEABLE : Linux.MADV_MERGEABLE);
            }
            throw e;
        }
    }

    /** Marks or unmarks a part, where pages may be shared with other regions. */
    void mark(long from, long to, boolean mergeable, Unmerge how) {
        Change.apply(List.of(part(from, to)), mergeable, how);
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
        long stamp = unmapping.readLock();
        try {
            if (!isOpen()) {
                throw closedException();
            }
            kernel.discard(from, length);
        } finally {
            unmapping.unlockRead(stamp);
        }
    }

    /** That the memory still is this region's. */
    void requireMemory() {
        if ((slot.state() & RegionTable.DETACHED) != 0) {
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
        table.lock.lock();
        try {
            table.forEachUnwanted(
                    range.start(), range.end(), 0, (from, to, since) -> unmarked.add(AddressRange.between(from, to)));
        } finally {
            table.lock.unlock();
        }
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
        if (!RegionTable.tryAcquire(slot) && table.acquire(new RegionTable.Slot[] {slot}) != null) {
            return;
        }
        boolean closed = false;
        try {
            if (mapped == null) {
                withdraw();
                removeFromTable();
                closed = true;
                memoryHolder = null;
            } else {
                long stamp = unmapping.writeLock();
                try {
                    boolean unreachable = views == null || views.revoke();
                    boolean wasMergeable = removeFromTable();
                    closed = true;
                    giveBack(mapped, wasMergeable, unreachable ? null : views);
                } finally {
                    unmapping.unlockWrite(stamp);
                }
            }
        } finally {
            if (!closed) {
                table.release(slot, 0, 0);
            }
        }
    }

    /** Takes back the advice this region asked for, where nobody else wants it, and leaves the memory to its owner. */
    private void withdraw() {
        List<Wanted> wanted = new ArrayList<>();
        List<AddressRange> freed = new ArrayList<>();
        table.lock.lock();
        try {
            table.forEachWantedBy(
                    slot.node,
                    range.start(),
                    range.end(),
                    (from, to, since) -> wanted.add(new Wanted(from, to, since)));
            table.unwant(slot.node, range.start(), range.end());
            for (Wanted part : wanted) {
                table.forEachUnwanted(
                        part.from(),
                        part.to(),
                        slot.node,
                        (from, to, since) -> freed.add(AddressRange.between(from, to)));
            }
        } finally {
            table.lock.unlock();
        }
        try {
            if (isAlive() && !freed.isEmpty() && !ProcessMerging.isOptedIn(kernel)) {
                // The owner may have unmapped some of it already, which withdraws the advice as well.
                kernel.unmergeMapped(freed, unmerge);
            }
        } catch (Throwable t) {
            if (t instanceof KsmException && !UnmergeRefusedException.hasChangedNothing(t)) {
                kernel.undo(freed, Linux.MADV_MERGEABLE);
            }
            table.lock.lock();
            try {
                wanted.forEach(part -> table.want(slot, part.from(), part.to(), part.since()));
            } finally {
                table.lock.unlock();
            }
            throw t;
        }
        freed.forEach(part -> table.mergeableBytes.add(-part.length()));
    }

    private record Wanted(long from, long to, long since) {}

    /**
     * Of allocated memory nothing stays mergeable, whoever else wanted it: the pages are about to go.
     *
     * @return whether any of it was
     */
    private boolean removeFromTable() {
        table.lock.lock();
        try {
            boolean wasMergeable = mapped != null && detachOverlapping();
            table.close(slot);
            GUARDED.remove(slot.node, this);
            return wasMergeable;
        } finally {
            table.lock.unlock();
        }
    }

    private boolean detachOverlapping() {
        long[] unwanted = {0};
        table.forEachUnwanted(range.start(), range.end(), 0, (from, to, since) -> unwanted[0] += to - from);
        table.mergeableBytes.add(unwanted[0] - range.length());
        List<Integer> others = new ArrayList<>();
        table.forEachOverlapping(range.start(), range.end(), node -> {
            if (node == table.base(node) && node != slot.node) {
                others.add(node);
            }
            return true;
        });
        for (int other : others) {
            table.detach(other, range.start(), range.end());
        }
        return unwanted[0] < range.length();
    }

    /** Unmaps the memory, or, while buffers that cannot be revoked reach it, its pages now and the addresses later. */
    private void giveBack(AddressRange memory, boolean wasMergeable, @Nullable NativeMapping stillReachable) {
        if (stillReachable == null) {
            kernel.unmapOrDefer(memory);
            return;
        }
        try {
            // Dropping the pages first leaves nothing for MADV_UNMERGEABLE to copy. Whoever still reads finds zeros.
            kernel.discard(range.start(), range.length());
        } finally {
            if (wasMergeable) {
                kernel.undo(List.of(range), Linux.MADV_UNMERGEABLE);
            }
            stillReachable.whenUnreachable(() -> kernel.unmapOrDefer(memory));
        }
    }

    /** Tries again to close forgotten regions whose merged pages could not be taken apart. */
    static void closeRefused() {
        for (int left = REFUSED.size(); left > 0; left--) {
            RegionState state = REFUSED.poll();
            if (state == null) {
                return;
            }
            try {
                state.close(null);
            } catch (RuntimeException e) {
                REFUSED.add(state);
                Ksm.logger().log(Level.DEBUG, "region " + state + " still cannot be closed", e);
            }
        }
    }

    /** What the cleaner does once neither the region nor a view of it is reachable. */
    @Override
    public void run() {
        if (!isOpen()) {
            return;
        }
        table.leaks.incrementAndGet();
        Ksm.logger()
                .log(
                        Level.WARNING,
                        "region " + this + " was never closed; it is reclaimed now."
                                + (openedAt == null
                                        ? " Run with -Dio.ksm4j.trackLeaks=true to see where it was opened."
                                        : ""),
                        openedAt);
        try {
            close(null);
        } catch (UnmergeRefusedException e) {
            // Held from here on, or the memory would go while the registry still has it.
            REFUSED.add(this);
            Ksm.logger()
                    .log(
                            Level.WARNING,
                            "region " + this
                                    + " stays open and marked: there is no memory to take its merged pages apart. Free"
                                    + " memory or raise the limit; when a region is next opened, this one is closed",
                            e);
        } catch (RuntimeException e) {
            Ksm.logger().log(Level.WARNING, "could not reclaim region " + this, e);
        }
        // Last: where the class loader was closed meanwhile, the event's class may be missing.
        RegionEvents.recordLeak(this);
    }

    @Override
    public String toString() {
        return owner + " at " + range;
    }
}
