// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.Log;
import io.ksm4j.internal.linux.NativeMappings;
import io.ksm4j.internal.linux.NativeMappings.Range;
import io.ksm4j.internal.linux.NativeMappings.Snapshot;
import io.ksm4j.internal.linux.Smaps;
import io.ksm4j.internal.management.Metaspace;
import io.ksm4j.internal.management.SharedTable;
import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.internal.registry.Slot;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Marks the memory that native libraries of this JVM have allocated: inference runtimes, storage engines, codecs. It
 * does not mark the Java heap, stacks, metaspace, compiled code, or memory of the garbage collector.
 *
 * <pre>{@code
 * try (NativeMemory marked = NativeMemory.adopt(ksm, NativeMemoryOptions.DEFAULT)) {
 *     serve();
 * }
 * }</pre>
 *
 * <p>The JVM and libraries use the same kinds of mappings. What cannot be told apart is not marked. Marked are, from
 * {@link NativeMemoryOptions#minSize()} on:
 *
 * <ul>
 *   <li>What glibc's {@code malloc} has mapped for a single request (mallopt(3), {@code M_MMAP_THRESHOLD}). This
 *       includes direct buffers. Requests of exactly 1 MiB are left out, because the garbage collector makes such
 *       requests. Other large requests of the JVM itself, such as a very large table of strings, are marked.
 *   <li>Other private anonymous memory that a library has mapped after this object was created, unless it lies directly
 *       above inaccessible memory, as stacks do.
 * </ul>
 *
 * <p>What is larger than the memory and swap of the machine together is not marked: it is address space that a library
 * has reserved, and {@code ksmd} may take very long to scan it.
 *
 * <p>Smaller requests come from heaps of {@code malloc}, which are not marked: they also contain data of the JVM, and
 * equal data rarely has equal offsets there. Only those of glibc are recognized; with another {@code malloc}, memory
 * that the JVM itself requests may be marked.
 *
 * <p>Marked memory is in the {@link MergeRegistry} with the owner {@code native memory}. Memory in which the program
 * has opened regions is left to the program, and a region with {@link Marking#NEVER} may be opened over marked memory,
 * which is then unmarked. A {@link MergeGovernor} unmarks the parts that do not pay off.
 *
 * <p>Libraries allocate and free memory without telling anyone. Therefore {@link #look()} looks again at all mappings,
 * by itself in every {@link NativeMemoryOptions#interval()}. Memory that was freed has lost its mark in the kernel, and
 * its addresses may already be used for something else; what is there is left unmarked. Memory that {@code realloc} has
 * moved or enlarged is recognized by the mark that it has kept. A mark that a library sets by itself is kept when this
 * object is closed, unless the library set it on addresses, or at a time, at which other marked memory disappeared.
 *
 * <p>A {@link Ksm#fallback()} cannot adopt marked memory, as it cannot adopt that of any other {@code Ksm}.
 *
 * <p>Thread-safe.
 *
 * @since 0.1.0
 */
public final class NativeMemory implements AutoCloseable {

    private static final String OWNER = "native memory";

    /** Verification would read all mappings for each mark; {@link #look()} does it once for all. */
    private static final RegionOptions REGION = RegionOptions.DEFAULT
            .withName(OWNER)
            .withMarking(Marking.UNMERGEABLE)
            .withVerify(false);

    /** Memory that was chosen, with its open region. */
    private record Chosen(Range range, AdoptedState region, boolean isChunk) {}

    private final Kernel kernel;
    private final RegionTable table = SharedTable.table();
    private final NativeMemoryOptions options;
    private final MergeGovernor governor;
    private final NativeMappings mappings;
    private final long maxSize;
    private final @Nullable RepeatedTask task;

    /** Guards the fields that follow. */
    private final ReentrantLock lock = new ReentrantLock();

    private final List<Chosen> chosen = new ArrayList<>();

    /** Open regions that are not chosen: not yet, or no longer because their memory is gone. */
    private final ArrayList<AdoptedState> unclosed = new ArrayList<>();

    /** The memory that existed at first and still does. */
    private List<Range> baseline = List.of();

    /** The memory that was marked by others. */
    private List<Range> foreign = List.of();

    private boolean isClosed;

    private NativeMemory(Kernel kernel, NativeMemoryOptions options) {
        this.kernel = kernel;
        this.mappings = kernel.proc.nativeMappings(kernel.pageSize, options.minSize());
        this.maxSize = new MemoryLimits(kernel.proc).ofMachine();
        this.options = options;
        this.governor = new MergeGovernor(kernel, options.governor().withInterval(Duration.ZERO));
        this.task =
                options.interval().isZero() ? null : new RepeatedTask("ksm4j-native", options.interval(), this::look);
    }

    /**
     * Marks the memory of native libraries, and looks for more with a daemon thread, unless the interval is 0. The
     * thread keeps the result reachable until it is closed.
     *
     * @param ksm marks the memory; if it is a fallback, marks are only recorded
     * @param options which memory, and how often to look
     * @return an open {@code NativeMemory}
     * @throws KsmUnsupportedException if the kernel has no KSM
     * @throws KsmException if memory cannot be marked. Nothing is marked after a failure
     * @throws UncheckedIOException if {@code /proc} cannot be read
     */
    public static NativeMemory adopt(Ksm ksm, NativeMemoryOptions options) {
        NativeMemory memory = new NativeMemory(ksm.kernel(), options);
        try {
            memory.takeBaseline();
            memory.look();
            if (memory.task != null) {
                memory.task.start();
            }
            return memory;
        } catch (Throwable t) {
            try {
                memory.isClosed = true;
                memory.closeAll();
            } catch (KsmException e) {
                t.addSuppressed(e);
            }
            throw t;
        }
    }

    private void takeBaseline() {
        Snapshot snapshot = read();
        baseline = snapshot.anonymous();
        foreign = kernel.isOptedIn() ? List.of() : unregistered(snapshot.mergeable());
    }

    private Snapshot read() {
        try (Smaps smaps = kernel.proc.smaps()) {
            return Snapshot.read(smaps);
        } catch (IOException e) {
            throw kernel.proc.unreadable("self/smaps", e);
        }
    }

    /** Returns the parts that no region wants. */
    private List<Range> unregistered(List<Range> ranges) {
        List<Range> parts = new ArrayList<>();
        for (Range range : ranges) {
            table.forEachUnwanted(
                    range.start(), range.end(), base -> false, (from, to, since) -> parts.add(new Range(from, to)));
        }
        return parts;
    }

    /**
     * Marks memory that is new, forgets memory that is gone, and unmarks what does not pay off. The thread of this
     * object does this by itself. The cost is that of reading {@code /proc/self/smaps}, for which the kernel walks the
     * page tables of the process, twice if something is new.
     *
     * @throws IllegalStateException if this object is closed
     * @throws KsmException if memory could not be marked or unmarked; all other memory is. The next look tries again
     * @throws UncheckedIOException if {@code /proc} cannot be read
     */
    public void look() {
        lock.lock();
        try {
            if (isClosed) {
                throw new IllegalStateException("the native memory is closed");
            }
            Failures failures = new Failures();
            look(failures);
            failures.run(governor::check);
            failures.throwFirst();
        } finally {
            lock.unlock();
        }
    }

    private void look(Failures failures) {
        Snapshot snapshot = read();
        baseline = NativeMappings.common(baseline, snapshot.anonymous());
        chosen.sort(Comparator.comparingLong(known -> known.range.start()));
        List<Chosen> kept = new ArrayList<>();
        List<Chosen> gone = new ArrayList<>();
        for (Chosen known : chosen) {
            (isUnchanged(known, snapshot) ? kept : gone).add(known);
        }
        List<Range> keptRanges = kept.stream().map(Chosen::range).toList();
        List<Chosen> added = open(newRanges(snapshot, keptRanges, !gone.isEmpty()), failures);
        // Closed after the new ones were opened: what both contain stays marked, and keeps its merged pages.
        drop(gone);
        closeDropped(failures);
        if (!added.isEmpty()) {
            drop(replaced(added, keptRanges));
            closeDropped(failures);
        }
    }

    private void drop(List<Chosen> gone) {
        gone.forEach(known -> unclosed.add(known.region));
        chosen.removeAll(Set.copyOf(gone));
    }

    /** Returns whether memory is still mapped where it was and still has its marks. */
    private boolean isUnchanged(Chosen known, Snapshot snapshot) {
        if (!known.region.isOpen()
                || !isCovered(known.range, snapshot.anonymous())
                || (known.isChunk ? !mappings.isChunk(known.range) : snapshot.hasStackIn(known.range))) {
            return false;
        }
        if (kernel.isOptedIn() || kernel.recordsOnly) {
            return true;
        }
        boolean[] isMarked = {true};
        table.forEachWantedBy(
                known.region.slot,
                (from, to, since) -> isMarked[0] &= isCovered(new Range(from, to), snapshot.mergeable()));
        return isMarked[0];
    }

    private static boolean isCovered(Range range, List<Range> by) {
        return NativeMappings.without(range, by).isEmpty();
    }

    /** Returns the memory of native libraries that is not known and not used by regions of the program. */
    private List<Range> choose(Snapshot snapshot, List<Range> known) {
        List<Range> found;
        try {
            found = mappings.choose(snapshot, known, baseline, Metaspace::ranges);
        } catch (IOException e) {
            throw kernel.proc.unreadable("self/pagemap", e);
        }
        found.removeIf(range -> range.length() > maxSize || table.isUsed(range.start(), range.end()));
        return found;
    }

    /**
     * Returns the ranges to mark.
     *
     * @param isAnyGone whether memory that was marked before is gone, so that {@code realloc} may have moved it
     */
    private List<Range> newRanges(Snapshot snapshot, List<Range> known, boolean isAnyGone) {
        List<Range> found = choose(snapshot, known);
        if (!kernel.isOptedIn() && !kernel.recordsOnly) {
            foreign = NativeMappings.common(foreign, snapshot.mergeable());
            List<Range> marked = unregistered(snapshot.mergeable());
            found.removeIf(
                    range -> !NativeMappings.common(List.of(range), foreign).isEmpty());
            List<Range> byOthers = new ArrayList<>();
            for (Range range : found) {
                boolean hasGrown = known.stream().anyMatch(before -> before.end() == range.start());
                boolean isMarked =
                        !NativeMappings.common(List.of(range), marked).isEmpty();
                if (isMarked && !isAnyGone && !hasGrown) {
                    byOthers.add(range);
                }
            }
            found.removeAll(byOthers);
            foreign = Stream.concat(foreign.stream(), byOthers.stream())
                    .sorted(Comparator.comparingLong(Range::start))
                    .toList();
        }
        return found;
    }

    private List<Chosen> open(List<Range> ranges, Failures failures) {
        List<Chosen> opened = new ArrayList<>();
        for (Range range : ranges) {
            failures.run(() -> {
                unclosed.ensureCapacity(unclosed.size() + 1);
                AdoptedState region =
                        AdoptedState.openYielding(kernel, AddressRange.between(range.start(), range.end()), REGION);
                // Whatever fails from here on, the region is closed.
                unclosed.add(region);
                MarkChange.applyUnrecorded(region.whole(), true, region.unmerge);
                governor.govern(region);
                Chosen added = new Chosen(range, region, mappings.isChunk(range));
                chosen.add(added);
                unclosed.remove(region);
                opened.add(added);
            });
        }
        return opened;
    }

    /** Returns what was replaced by other memory between reading the mappings and marking it. */
    private List<Chosen> replaced(List<Chosen> added, List<Range> kept) {
        Snapshot snapshot = read();
        List<Range> found = choose(snapshot, kept);
        return added.stream()
                .filter(known -> !isUnchanged(known, snapshot) || !isCovered(known.range, found))
                .toList();
    }

    private void closeDropped(Failures failures) {
        for (AdoptedState region : List.copyOf(unclosed)) {
            failures.run(() -> close(region));
        }
    }

    private void close(AdoptedState region) {
        governor.forget(region);
        region.close(null);
        unclosed.remove(region);
    }

    /**
     * Returns the memory that this object has marked and watches, including parts that the governor has unmarked.
     *
     * @return a new list, in order of address; empty if this object is closed
     */
    public List<AddressRange> ranges() {
        lock.lock();
        try {
            return chosen.stream()
                    .map(known -> AddressRange.between(known.range.start(), known.range.end()))
                    .sorted()
                    .toList();
        } finally {
            lock.unlock();
        }
    }

    /**
     * Returns the parts that are unmarked because merging them does not pay off.
     *
     * @return a new list; empty if this object is closed
     */
    public List<MergeGovernor.Rest> resting() {
        return governor.resting();
    }

    /**
     * Returns the options of this object.
     *
     * @return the options it was created with
     */
    public NativeMemoryOptions options() {
        return options;
    }

    /** {@return whether this object has not been closed} */
    public boolean isOpen() {
        lock.lock();
        try {
            return !isClosed;
        } finally {
            lock.unlock();
        }
    }

    /**
     * Ends looking, and unmarks all memory that this object has marked, unless a region of the program wants it
     * mergeable. Closing it again does nothing, unless closing has failed before.
     *
     * @throws UnmergeRefusedException if there is not enough memory for the copies of merged pages
     * @throws KsmException if memory could not be unmarked. All other memory is unmarked; call this again to try again
     */
    @Override
    public void close() {
        if (task != null) {
            task.stop();
        }
        lock.lock();
        try {
            if (!isClosed) {
                lookForMovedMemory();
                isClosed = true;
            }
            closeAll();
        } finally {
            lock.unlock();
        }
    }

    /** Finds memory that {@code realloc} has moved or enlarged since the last look, and that has kept its mark. */
    private void lookForMovedMemory() {
        try {
            look();
        } catch (KsmException | UncheckedIOException e) {
            Log.debug("the last look at native memory failed", e);
        }
    }

    private void closeAll() {
        Failures failures = new Failures();
        drop(List.copyOf(chosen));
        for (AdoptedState region : List.copyOf(unclosed)) {
            failures.run(() -> {
                unmarkUnwanted(region);
                close(region);
            });
        }
        failures.throwFirst();
        governor.close();
        mappings.close();
    }

    /**
     * Unmarks also what the region no longer wants: if opening a region that must never merge has failed, the kernel
     * may still have the mark.
     */
    private void unmarkUnwanted(AdoptedState region) {
        if (!region.isOpen() || region.slot.is(Slot.MARKED | Slot.DETACHED) || kernel.isOptedIn()) {
            return;
        }
        try {
            MarkChange.applyUnrecorded(region.whole(), false, region.unmerge);
        } catch (UnmappedRangeException e) {
            Log.debug("memory was unmapped before its region was closed", e);
        }
    }

    /** Keeps the first failure of several steps, so that one does not keep the others from being made. */
    private static final class Failures {
        private @Nullable KsmException first;

        void run(Runnable step) {
            try {
                step.run();
            } catch (UnmappedRangeException | MarkNotTakenException e) {
                Log.debug("memory of a native library was unmapped while it was marked", e);
            } catch (KsmException e) {
                if (first == null) {
                    first = e;
                } else {
                    first.addSuppressed(e);
                }
            } catch (IllegalStateException e) {
                Log.debug("memory of a native library is used by a region of the program", e);
            }
        }

        void throwFirst() {
            if (first != null) {
                throw first;
            }
        }
    }
}
