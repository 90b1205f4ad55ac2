// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.Backoff;
import io.ksm4j.internal.Log;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.internal.SystemProperties;
import io.ksm4j.internal.linux.KernelConfig;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.stats.RegionStats;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The entry point of ksm4j: allocates off-heap memory, or adopts existing memory, and marks it mergeable for Linux's
 * Kernel Samepage Merging (KSM).
 *
 * <pre>{@code
 * Ksm ksm = Ksm.system();
 * try (MergeRegion prices = ksm.allocate(64L << 20)) {
 *     load(prices.buffer(0, 64 << 20));
 *     System.out.println(prices.stats().savedBytes());
 * }
 * }</pre>
 *
 * <p>The kernel thread {@code ksmd} merges marked pages with equal content once two scans have found them unchanged. It
 * does so only while it runs; {@link #support()} reports whether merging can work on this machine. A write to a merged
 * page gives the writer a private copy (copy-on-write), so merging never changes what a program reads.
 *
 * <p>Instances are safe for use by multiple threads.
 *
 * @see <a href="https://docs.kernel.org/admin-guide/mm/ksm.html">Kernel Samepage Merging</a>, in the kernel
 *     documentation, and madvise(2)
 * @since 0.1.0
 */
public final class Ksm {

    /**
     * The system property that names the backend {@link #system()} must use: {@code ffm}, {@code jnr} or {@code jna}.
     * Default: not set, which selects the best backend that works.
     */
    public static final String BACKEND_PROPERTY = SystemProperties.BACKEND;

    /**
     * The system property that, set to {@code true}, makes leak reports include the stack trace of where the region was
     * opened. This costs one stack trace per region. Default: {@code false}.
     */
    public static final String TRACK_LEAKS_PROPERTY = SystemProperties.TRACK_LEAKS;

    private static final ReentrantLock OPENING = new ReentrantLock();
    private static volatile @Nullable Ksm system;

    /** Whether the warning of {@link #systemOrFallback()} was logged. */
    private static final AtomicBoolean FALLBACK_WARNING_LOGGED = new AtomicBoolean();

    private final Kernel kernel;
    private final ProcessMerging process;

    Ksm(Kernel kernel) {
        this.kernel = kernel;
        this.process = new ProcessMerging(kernel);
    }

    /**
     * Returns the instance for this system, opening it on the first call. It uses the best backend on the class path or
     * module path that works: {@code ffm}, then {@code jnr}, then {@code jna}; or the one named by
     * {@value #BACKEND_PROPERTY}.
     *
     * @return the same instance on every call
     * @throws KsmUnsupportedException if this is not a 64-bit Linux or no backend works. The message lists every
     *     backend found, why it was rejected, and how to fix that
     */
    public static Ksm system() {
        Ksm opened = system;
        return opened != null ? opened : openSystem();
    }

    private static Ksm openSystem() {
        StartupServices.startOnce();
        Backoff.lock(OPENING);
        try {
            Ksm opened = system;
            if (opened == null) {
                opened = with(Backends.open(System.getProperty(BACKEND_PROPERTY)));
                system = opened;
                new ClassPreloader(opened.kernel).start();
            }
            return opened;
        } finally {
            OPENING.unlock();
        }
    }

    /**
     * Returns {@link #system()} if this process can mark memory mergeable, and a {@link #fallback()} otherwise. Use it
     * in programs that must also run on machines without KSM.
     *
     * <p>If the kernel has KSM but something else is missing, such as a backend for this Java version, the logger
     * {@code io.ksm4j} gets a warning, once per class loader that loads ksm4j.
     *
     * @return {@link #system()}, or a new fallback
     */
    public static Ksm systemOrFallback() {
        String reason;
        try {
            Ksm system = system();
            KsmSupport support = system.support();
            if (support.canMark()) {
                return system;
            }
            reason = support.obstacles().get(0).explanation();
        } catch (KsmUnsupportedException e) {
            reason = String.valueOf(e.getMessage());
        }
        if (KernelConfig.hasKsm() && FALLBACK_WARNING_LOGGED.compareAndSet(false, true)) {
            Log.warning(
                    "Ksm.systemOrFallback() uses the fallback: nothing will merge, although this kernel has KSM. "
                            + reason,
                    null);
        }
        return fallback(reason);
    }

    /**
     * Returns a new instance whose regions are usable memory that never merges. Marks are recorded in the
     * {@link MergeRegistry} but not passed to the kernel.
     *
     * <p>If a backend works, memory is mapped like that of {@link #system()}. Otherwise regions are made of direct
     * buffers, with these limits: a region is smaller than 2 GiB, its addresses are invented, and slices and duplicates
     * of its buffers do not keep it open. A region of which only slices or duplicates are reachable is therefore
     * reported as a leak; its content remains intact for their readers.
     *
     * @return a new instance
     */
    public static Ksm fallback() {
        return fallback("the program requested it");
    }

    private static Ksm fallback(String reason) {
        KsmBackend memory;
        try {
            memory = Backends.open(System.getProperty(BACKEND_PROPERTY));
        } catch (KsmUnsupportedException e) {
            memory = new DirectBufferBackend();
        }
        return with(new FallbackBackend(memory, reason));
    }

    /**
     * Returns a new instance that uses the given backend. Intended for testing backends.
     *
     * @param backend a backend that works on this machine
     * @return a new instance
     */
    public static Ksm with(KsmBackend backend) {
        return new Ksm(new Kernel(backend));
    }

    /**
     * Returns the name of the backend.
     *
     * @return {@code ffm}, {@code jnr}, {@code jna}, {@code fallback}, or the name of a custom backend
     */
    public String backend() {
        return kernel.backend.name();
    }

    Kernel kernel() {
        return kernel;
    }

    /** {@return the page size in bytes, a power of two} */
    public long pageSize() {
        return kernel.pageSize;
    }

    /**
     * Checks what this machine supports. Each call makes a few system calls, and the result changes when {@code ksmd}
     * is started or stopped.
     *
     * @return what works, and the obstacles to merging
     */
    public KsmSupport support() {
        return SupportCheck.of(kernel);
    }

    /**
     * Returns the registry of everything that is marked in this JVM, across all class loaders.
     *
     * @return {@link MergeRegistry#system()}
     */
    public MergeRegistry registry() {
        return MergeRegistry.system();
    }

    /**
     * Returns the control for opting the whole process in to or out of merging.
     *
     * @return the same object on every call
     */
    public ProcessMerging process() {
        return process;
    }

    /**
     * Allocates a region with the {@linkplain RegionOptions#DEFAULT default options} and marks it mergeable.
     *
     * @param size the size in bytes, rounded up to whole pages
     * @return an open region filled with zeros and marked mergeable
     * @throws IllegalArgumentException if {@code size} is not positive, or so large that rounding overflows
     * @throws MemoryLimitExceededException if a limit of the process or of the machine allows no more memory
     * @throws ResourceUnavailableException if memory is temporarily short
     * @throws MapCountExceededException if the process has too many mappings
     * @throws KsmUnsupportedException if the kernel has no KSM
     * @throws KsmException if a system call fails for another reason. Nothing stays mapped after a failure
     */
    public MergeRegion allocate(long size) {
        return allocate(size, RegionOptions.DEFAULT);
    }

    /**
     * Allocates a region: a private anonymous mapping, readable and writable, that starts on a page boundary.
     *
     * @param size the size in bytes, rounded up to whole pages; may exceed 2 GiB
     * @param options the region's name and how to map and mark it
     * @return an open region filled with zeros
     * @throws IllegalArgumentException if {@code size} is not positive, or so large that rounding overflows
     * @throws MemoryLimitExceededException if a limit of the process or of the machine allows no more memory
     * @throws ResourceUnavailableException if memory is temporarily short
     * @throws MapCountExceededException if the process has too many mappings
     * @throws KsmUnsupportedException if the kernel has no KSM
     * @throws KsmException if a system call fails for another reason. Nothing stays mapped after a failure
     */
    public MergeRegion allocate(long size, RegionOptions options) {
        Objects.requireNonNull(options, "options");
        return Allocation.allocate(kernel, size, options);
    }

    /**
     * Adopts memory that was not allocated through ksm4j, given by address, and marks it mergeable.
     *
     * <p>The region covers the whole pages inside the given range.
     *
     * @param address the first byte; the memory must stay mapped until the region is closed
     * @param length the length in bytes
     * @return an open region, marked mergeable
     * @throws IllegalArgumentException if {@code length} is not positive
     * @throws IllegalStateException if the range shares pages with a region that must never merge
     * @throws InvalidRangeException if the range wraps around, lies in the kernel's half of the address space, or
     *     contains no whole page
     * @throws UnmappedRangeException if all or part of the range is not mapped
     * @throws MarkNotTakenException if the memory is of a kind that cannot merge
     * @throws KsmException if a system call fails for another reason. Nothing is marked after a failure
     */
    public MergeRegion adopt(long address, long length) {
        return adopt(address, length, RegionOptions.DEFAULT);
    }

    /**
     * Adopts memory that was not allocated through ksm4j, given by address.
     *
     * <p>The region covers the whole pages inside the given range.
     *
     * @param address the first byte; the memory must stay mapped until the region is closed
     * @param length the length in bytes
     * @param options the region's name, whether to mark it, whether to verify marks, and how to unmerge. The options
     *     for allocated memory are ignored
     * @return an open region
     * @throws IllegalArgumentException if {@code length} is not positive
     * @throws IllegalStateException if the range shares pages with a region that must never merge, or if this region
     *     must never merge and the range shares pages with one that may
     * @throws InvalidRangeException if the range wraps around, lies in the kernel's half of the address space, or
     *     contains no whole page
     * @throws UnmappedRangeException if all or part of the range is not mapped
     * @throws MarkNotTakenException if the memory is of a kind that cannot merge
     * @throws KsmException if a system call fails for another reason. Nothing is marked after a failure
     */
    public MergeRegion adopt(long address, long length, RegionOptions options) {
        return adopt(new AddressRange(address, length), options, null, null);
    }

    /**
     * Adopts memory whose owner can report whether it still exists.
     *
     * <p>The region calls {@code alive} before every system call. Once it returns {@code false}, methods of the region
     * throw {@link IllegalStateException}, and {@link MergeRegion#close()} leaves the memory untouched.
     *
     * @param address the first byte
     * @param length the length in bytes; the region covers the whole pages inside the range
     * @param options the region's name, whether to mark it, whether to verify marks, and how to unmerge. The options
     *     for allocated memory are ignored
     * @param alive returns whether the memory still exists. Called on any thread while the region is locked, so it must
     *     not call methods of the region or of a {@code Ksm}. It stays reachable until the region is closed
     * @return an open region
     * @throws IllegalArgumentException if {@code length} is not positive
     * @throws IllegalStateException if {@code alive} returns {@code false}; if the range shares pages with a region
     *     that must never merge; or if this region must never merge and the range shares pages with one that may
     * @throws InvalidRangeException if the range wraps around, lies in the kernel's half of the address space, or
     *     contains no whole page
     * @throws UnmappedRangeException if all or part of the range is not mapped
     * @throws MarkNotTakenException if the memory is of a kind that cannot merge
     * @throws KsmException if a system call fails for another reason. Nothing is marked after a failure
     */
    public MergeRegion adopt(long address, long length, RegionOptions options, BooleanSupplier alive) {
        Objects.requireNonNull(alive, "alive");
        return adopt(new AddressRange(address, length), options, alive, null);
    }

    /**
     * Adopts a direct buffer and marks it mergeable.
     *
     * <pre>{@code
     * ByteBuffer cache = ByteBuffer.allocateDirect(64 << 20);
     * MergeRegion region = ksm.adopt(cache);
     * load(cache);
     * // and much later:
     * region.close(); // unmarks and unmerges the buffer
     * }</pre>
     *
     * <p>The region covers the whole pages of the buffer's capacity, regardless of its position and limit, and keeps
     * the buffer reachable until it is closed. If you free the buffer by other means, as Netty does, close the region
     * first.
     *
     * <p>With backend {@code ffm}, a buffer that is a view of a memory segment confined to another thread is rejected
     * with {@code WrongThreadException}.
     *
     * @param direct a writable direct buffer
     * @return an open region, marked mergeable
     * @throws IllegalArgumentException if the buffer is on the heap, read-only or empty
     * @throws IllegalStateException if the buffer shares pages with a region that must never merge, or is a view of a
     *     memory segment whose arena is closed (detected by backend {@code ffm} only)
     * @throws InvalidRangeException if the buffer contains no whole page
     * @throws MarkNotTakenException if the memory is of a kind that cannot merge, such as a shared file mapping
     * @throws KsmException if a system call fails for another reason. Nothing is marked after a failure
     */
    public MergeRegion adopt(ByteBuffer direct) {
        return adopt(direct, RegionOptions.DEFAULT);
    }

    /**
     * Adopts a direct buffer.
     *
     * <p>The region covers the whole pages of the buffer's capacity, regardless of its position and limit, and keeps
     * the buffer reachable until it is closed. If you free the buffer by other means, as Netty does, close the region
     * first.
     *
     * <p>With backend {@code ffm}, a buffer that is a view of a memory segment confined to another thread is rejected
     * with {@code WrongThreadException}.
     *
     * @param direct a writable direct buffer
     * @param options the region's name, whether to mark it, whether to verify marks, and how to unmerge. The options
     *     for allocated memory are ignored
     * @return an open region
     * @throws IllegalArgumentException if the buffer is on the heap, read-only or empty
     * @throws IllegalStateException if the buffer is a view of a memory segment whose arena is closed (detected by
     *     backend {@code ffm} only); if it shares pages with a region that must never merge; or if this region must
     *     never merge and the buffer shares pages with one that may
     * @throws InvalidRangeException if the buffer contains no whole page
     * @throws MarkNotTakenException if the memory is of a kind that cannot merge, such as a shared file mapping
     * @throws KsmException if a system call fails for another reason. Nothing is marked after a failure
     */
    public MergeRegion adopt(ByteBuffer direct, RegionOptions options) {
        if (!direct.isDirect()) {
            throw new IllegalArgumentException(
                    "the buffer is on the Java heap, whose objects move: use ByteBuffer.allocateDirect");
        }
        if (direct.isReadOnly()) {
            throw new IllegalArgumentException(
                    "the buffer is read-only: adopt the writable buffer it was created from");
        }
        if (direct.capacity() == 0) {
            throw new IllegalArgumentException("the buffer is empty: its capacity is 0");
        }
        AddressRange memory = new AddressRange(kernel.backend.address(direct), direct.capacity());
        return adopt(memory, options, kernel.backend.liveness(direct), direct);
    }

    private MergeRegion adopt(
            AddressRange memory,
            RegionOptions options,
            @Nullable BooleanSupplier alive,
            @Nullable Object keptReachable) {
        Objects.requireNonNull(options, "options");
        long mask = kernel.pageSize - 1;
        long start = (memory.start() + mask) & ~mask;
        long end = memory.end() & ~mask;
        if (start < 0 || start >= end) {
            throw new InvalidRangeException(
                    memory + " contains no whole page of " + kernel.pageSize + " bytes: only whole pages can merge");
        }
        if (alive != null && !alive.getAsBoolean()) {
            throw new IllegalStateException("the memory at " + memory + " no longer exists: its owner has freed it");
        }
        StackRoom.requireForOpening();
        RegionState.closeUnclosed();
        RegionState state = AdoptedState.open(kernel, AddressRange.between(start, end), alive, keptReachable, options);
        try {
            MergeRegion region = new MergeRegion(state);
            state.markAsOpened(options);
            return region;
        } catch (Throwable t) {
            Throwable failure = state.closeOrKeep();
            if (failure instanceof KsmException) {
                t.addSuppressed(failure);
            }
            throw t;
        }
    }

    /**
     * Marks many regions mergeable in as few system calls as possible: with {@code process_madvise} on Linux 6.13 and
     * later, and with one {@code madvise} per region otherwise.
     *
     * <p>The result is that of {@link MergeRegion#markMergeable()} on each region, but all or nothing: if one fails, no
     * region has changed.
     *
     * @param regions open regions of this {@code Ksm}; may be empty, and repeated regions count once
     * @throws IllegalArgumentException if a region belongs to another {@code Ksm}
     * @throws IllegalStateException if a region is closed or must never merge
     * @throws KsmException as {@link MergeRegion#markMergeable()}
     */
    public void markMergeable(Collection<MergeRegion> regions) {
        mark(regions, true, null);
    }

    /**
     * Unmarks many regions in as few system calls as possible, all or nothing, like {@link #markMergeable(Collection)}.
     *
     * <p>Whether there is enough memory for the copies is checked for all regions together: in the mode they were
     * opened with ({@link RegionOptions#unmerge()}), or as {@link Unmerge#CHECKED} if their modes differ.
     *
     * @param regions open regions of this {@code Ksm}; may be empty, and repeated regions count once
     * @throws IllegalArgumentException if a region belongs to another {@code Ksm}
     * @throws IllegalStateException if a region is closed
     * @throws KsmException as {@link MergeRegion#markUnmergeable()}
     */
    public void markUnmergeable(Collection<MergeRegion> regions) {
        mark(regions, false, null);
    }

    /**
     * Unmarks many regions like {@link #markUnmergeable(Collection)}, in the given mode instead of the one they were
     * opened with.
     *
     * @param regions open regions of this {@code Ksm}; may be empty, and repeated regions count once
     * @param unmerge how to check for memory before merged pages are copied
     * @throws IllegalArgumentException if a region belongs to another {@code Ksm}
     * @throws IllegalStateException if a region is closed
     * @throws KsmException as {@link MergeRegion#markUnmergeable()}
     */
    public void markUnmergeable(Collection<MergeRegion> regions, Unmerge unmerge) {
        mark(regions, false, Objects.requireNonNull(unmerge, "unmerge"));
    }

    private void mark(Collection<MergeRegion> regions, boolean mergeable, @Nullable Unmerge unmerge) {
        RegionState[] states = regions.stream().map(this::stateOf).toArray(RegionState[]::new);
        try {
            if (states.length > 0) {
                BatchMark.apply(states, mergeable, unmerge == null ? unmergeOf(states) : unmerge);
            }
        } finally {
            Reference.reachabilityFence(regions);
        }
    }

    private static Unmerge unmergeOf(RegionState[] regions) {
        for (RegionState region : regions) {
            if (region.unmerge != regions[0].unmerge) {
                return Unmerge.CHECKED;
            }
        }
        return regions[0].unmerge;
    }

    /**
     * Reads how much memory each of the given regions occupies and saves.
     *
     * <p>The method reads {@code /proc/self/smaps} once for all regions. The kernel walks the page tables of all memory
     * up to the last region, including the Java heap, which takes milliseconds per resident GiB, and writes about a
     * kilobyte of text per mapping; the number of regions adds little. During the walk, other threads of the process
     * can access memory, but wait if they map or unmap memory.
     *
     * <p>If a region without guard pages, or adopted memory, shares a mapping with a neighbour, the mapping is split
     * for a second pass, with {@code MADV_RANDOM} and {@code MADV_SEQUENTIAL}, and joined again afterwards. Changing or
     * closing these regions waits until that is done. A huge page that extends across the end of a region stays split.
     *
     * @param regions open regions of this {@code Ksm}; repeated regions count once
     * @return the statistics of each region, in the order given; {@link RegionStats#NONE} for fallback regions
     * @throws IllegalArgumentException if a region belongs to another {@code Ksm}
     * @throws IllegalStateException if a region is closed, or its memory no longer exists
     * @throws MapCountExceededException if a mapping must be split and the process has too many mappings
     * @throws KsmException if the mappings change faster than they can be read, or cannot be split for another reason
     * @throws java.io.UncheckedIOException if {@code /proc} cannot be read
     */
    public Map<MergeRegion, RegionStats> stats(Collection<MergeRegion> regions) {
        List<MergeRegion> distinct = regions.stream().distinct().toList();
        Map<MergeRegion, RegionStats> stats = new LinkedHashMap<>();
        try {
            List<RegionStats> numbers = RegionState.stats(statesOf(distinct));
            for (int i = 0; i < numbers.size(); i++) {
                stats.put(distinct.get(i), numbers.get(i));
            }
        } finally {
            Reference.reachabilityFence(regions);
        }
        return stats;
    }

    /**
     * Reads how much memory all marked ranges of this JVM occupy and save, counting each page once. These are the marks
     * in {@link #registry()}, except those of fallback regions.
     *
     * <p>The cost is that of {@link #stats(Collection)} for all mappings of the process. The Java heap memory used does
     * not depend on the number of regions.
     *
     * @return the total; {@link RegionStats#NONE} for a {@link #fallback()}
     * @throws MapCountExceededException if marked memory shares a mapping with memory marked by other code, and the
     *     process has too many mappings to split it
     * @throws KsmException if the mappings change faster than they can be read, or cannot be split for another reason
     * @throws java.io.UncheckedIOException if {@code /proc} cannot be read
     */
    public RegionStats stats() {
        return kernel.recordsOnly ? RegionStats.NONE : RegionTotals.read(kernel);
    }

    /**
     * Diagnoses why merging is not paying off, like {@link #advice(Duration)}, but without judging the scan rate of
     * {@code ksmd}.
     *
     * @return the findings, most serious first; empty if there is no problem
     * @throws KsmException as {@link #stats()}
     * @throws java.io.UncheckedIOException if {@code /proc} or {@code /sys} cannot be read
     */
    public List<Finding> advice() {
        return advice(Optional.empty());
    }

    /**
     * Diagnoses why merging is not paying off on the machine, in this process, and in the ranges it has marked. The
     * cost is that of {@link #stats()}.
     *
     * @param lifeOfData how long data stays in memory unchanged
     * @return the findings, most serious first; empty if there is no problem
     * @throws IllegalArgumentException if {@code lifeOfData} is negative
     * @throws KsmException as {@link #stats()}
     * @throws java.io.UncheckedIOException if {@code /proc} or {@code /sys} cannot be read
     */
    public List<Finding> advice(Duration lifeOfData) {
        if (lifeOfData.isNegative()) {
            throw new IllegalArgumentException("lifeOfData " + lifeOfData + " is negative");
        }
        return advice(Optional.of(lifeOfData));
    }

    private List<Finding> advice(Optional<Duration> lifeOfData) {
        return Finding.of(KsmStats.read(), ProcessKsmStats.read(), stats(), lifeOfData);
    }

    /**
     * Waits until the given share of the regions' pages, taken together, is merged, or until no further merging can be
     * expected. Use it in tests, and in programs that load data at startup and want to know how much of it merged.
     *
     * <pre>{@code
     * MergeOutcome outcome = ksm.awaitMerged(caches, 0.9, Duration.ofSeconds(30));
     * if (!outcome.isReached()) {
     *     log(outcome.end() + " at " + outcome.stats().mergedShare());
     * }
     * }</pre>
     *
     * <p>The kernel has no notification for merged pages, so this method polls the counters in
     * {@code /sys/kernel/mm/ksm} and reads {@link #stats(Collection)} when they have changed. It spends at most a tenth
     * of the time on that.
     *
     * <p>Waiting ends with {@link MergeOutcome.End#SETTLED} after four full scans of {@code ksmd} in which no more of
     * these pages merged, or 32 if {@code smart_scan} is on, because {@code ksmd} then skips pages. Where the counters
     * cannot be read, as in some containers, that cannot be detected, and the method waits until the timeout.
     *
     * @param regions open regions of this {@code Ksm}; repeated regions count once
     * @param share the share of the pages in use to wait for, greater than 0 and at most 1; see
     *     {@link RegionStats#mergedShare()}
     * @param timeout the maximum time to wait; 0 checks once
     * @return why waiting ended; {@link MergeOutcome.End#NOT_MARKED} if there are no regions
     * @throws InterruptedException if the thread is interrupted before or during the wait
     * @throws IllegalArgumentException if the share is out of range, the timeout is negative, or a region belongs to
     *     another {@code Ksm}
     * @throws IllegalStateException if a region is closed before or during the wait. This is detected when a kernel
     *     counter has changed or the timeout is reached
     * @throws KsmException as {@link #stats(Collection)}
     * @throws java.io.UncheckedIOException if {@code /proc} cannot be read
     */
    public MergeOutcome awaitMerged(Collection<MergeRegion> regions, double share, Duration timeout)
            throws InterruptedException {
        try {
            return new MergeWait(statesOf(regions.stream().distinct().toList()), share, timeout).run();
        } finally {
            Reference.reachabilityFence(regions);
        }
    }

    private List<RegionState> statesOf(Collection<MergeRegion> regions) {
        return regions.stream().map(this::stateOf).toList();
    }

    private RegionState stateOf(MergeRegion region) {
        RegionState state = region.state();
        if (state.kernel != kernel) {
            throw new IllegalArgumentException("region " + state + " belongs to another Ksm");
        }
        return state;
    }
}
