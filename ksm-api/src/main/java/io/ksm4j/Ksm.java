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
 * The way in: off-heap memory that Linux's Kernel Samepage Merging may share.
 *
 * <pre>{@code
 * Ksm ksm = Ksm.system();
 * try (MergeRegion prices = ksm.allocate(64L << 20)) {
 *     load(prices.buffer(0, 64 << 20));
 *     System.out.println(prices.stats().savedBytes());
 * }
 * }</pre>
 *
 * <p>Marked pages are merged by the kernel's thread {@code ksmd}, if it runs, once it has seen them unchanged in two scans.
 * Merged pages are copied when they are written to; nobody sees another's bytes. {@link #support()} says whether merging can
 * work here.
 */
public final class Ksm {

    /** Names the backend that {@link #system()} must use: {@code ffm}, {@code jnr} or {@code jna}. */
    public static final String BACKEND_PROPERTY = SystemProperties.BACKEND;

    /** Set to {@code true}, leak reports say where the region was opened, at the cost of a stack trace for each region. */
    public static final String TRACK_LEAKS_PROPERTY = SystemProperties.TRACK_LEAKS;

    private static final ReentrantLock OPENING = new ReentrantLock();
    private static volatile @Nullable Ksm system;

    /** Whether it was said that nothing merges on a kernel that could. */
    private static final AtomicBoolean SAID_THAT_NOTHING_MERGES = new AtomicBoolean();

    private final Kernel kernel;
    private final ProcessMerging process;

    Ksm(Kernel kernel) {
        this.kernel = kernel;
        this.process = new ProcessMerging(kernel);
    }

    /**
     * Merging on this system, through the best backend on the class path or module path: {@code ffm}, then {@code jnr}, then
     * {@code jna}, or the one that {@value #BACKEND_PROPERTY} names.
     *
     * @return always the same one
     * @throws KsmUnsupportedException if this is not a 64-bit Linux or no backend works; the message lists every backend found,
     *     why it was refused, and what would cure it
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
     * {@link #system()} where the kernel takes advice, and {@link #fallback()} everywhere else. For programs that must also
     * run on machines without KSM. Where the kernel has KSM and something else is missing, such as a backend for this version of
     * Java, the logger {@code io.ksm4j} says so in a warning, once.
     *
     * @return one of the two
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
        if (KernelConfig.hasKsm() && SAID_THAT_NOTHING_MERGES.compareAndSet(false, true)) {
            Log.warning(
                    "Ksm.systemOrFallback() falls back: nothing will merge, although this kernel has KSM. " + reason,
                    null);
        }
        return fallback(reason);
    }

    /**
     * Regions that are real memory and never merge: advice is recorded in the {@link MergeRegistry} and told to nobody. Where a
     * backend works the memory is mapped like that of {@link #system()}. Elsewhere it is direct buffers; then a region holds
     * less than 2 GiB, its addresses are made up, and slices and duplicates of its buffers do not keep it open: a region of
     * which nothing else is reachable is reported as a leak, though its bytes stay as they are for whoever still reads them.
     *
     * @return a new one
     */
    public static Ksm fallback() {
        return fallback("the program asked for it");
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
     * Merging through a given backend, for tests of backends.
     *
     * @param backend a backend that works here
     * @return a new one
     */
    public static Ksm with(KsmBackend backend) {
        return new Ksm(new Kernel(backend));
    }

    /**
     * The backend's name.
     *
     * @return {@code ffm}, {@code jnr}, {@code jna}, {@code fallback}, or the name of a backend of your own
     */
    public String backend() {
        return kernel.backend.name();
    }

    /**
     * The size of a page.
     *
     * @return bytes, a power of two
     */
    public long pageSize() {
        return kernel.pageSize;
    }

    /**
     * Looks at what this machine can do. Makes a few system calls; the answer changes when {@code ksmd} is started or stopped.
     *
     * @return what works and what is in the way
     */
    public KsmSupport support() {
        return SupportCheck.of(kernel);
    }

    /**
     * The marks of all class loaders of this JVM.
     *
     * @return {@link MergeRegistry#system()}
     */
    public MergeRegistry registry() {
        return MergeRegistry.system();
    }

    /**
     * Opting the whole process in and out.
     *
     * @return always the same one
     */
    public ProcessMerging process() {
        return process;
    }

    /**
     * Maps memory with the {@linkplain RegionOptions#DEFAULT default options}.
     *
     * @param size bytes, rounded up to whole pages
     * @return an open region of zeros, already marked mergeable
     * @throws IllegalArgumentException if {@code size} is not positive, or so large that rounding overflows
     * @throws MemoryLimitExceededException if a limit of the process or of the machine allows no more memory
     * @throws ResourceUnavailableException if memory is short for the moment
     * @throws MapCountExceededException if the process has too many mappings
     * @throws KsmUnsupportedException if the kernel has no KSM
     * @throws KsmException if a call fails otherwise; nothing stays mapped then
     */
    public MergeRegion allocate(long size) {
        return allocate(size, RegionOptions.DEFAULT);
    }

    /**
     * Maps memory: private and anonymous, readable and writable, on page boundaries.
     *
     * @param size bytes, rounded up to whole pages; may be larger than 2 GiB
     * @param options how
     * @return an open region of zeros
     * @throws IllegalArgumentException if {@code size} is not positive, or so large that rounding overflows
     * @throws MemoryLimitExceededException if a limit of the process or of the machine allows no more memory
     * @throws ResourceUnavailableException if memory is short for the moment
     * @throws MapCountExceededException if the process has too many mappings
     * @throws KsmUnsupportedException if the kernel has no KSM
     * @throws KsmException if a call fails otherwise; nothing stays mapped then
     */
    public MergeRegion allocate(long size, RegionOptions options) {
        Objects.requireNonNull(options, "options");
        return Allocation.allocate(kernel, size, options);
    }

    /**
     * Takes in memory of somebody else by address, and marks it.
     *
     * @param address where it starts; must stay mapped until the region is closed
     * @param length bytes; the region covers the whole pages inside
     * @return an open region, already marked mergeable
     * @throws IllegalArgumentException if {@code length} is not positive
     * @throws InvalidRangeException if the range wraps around, lies in the kernel's half or holds no whole page
     * @throws UnmappedRangeException if nothing is mapped there, or in parts of it
     * @throws MarkNotTakenException if it is memory that cannot merge
     * @throws KsmException if the call fails otherwise; nothing is marked then
     */
    public MergeRegion adopt(long address, long length) {
        return adopt(address, length, RegionOptions.DEFAULT);
    }

    /**
     * Takes in memory of somebody else by address.
     *
     * @param address where it starts; must stay mapped until the region is closed
     * @param length bytes; the region covers the whole pages inside
     * @param options its name, whether to mark it, and whether to verify marks
     * @return an open region
     * @throws IllegalArgumentException if {@code length} is not positive
     * @throws IllegalStateException if it shares pages with a region that must never merge, or is to be such a region and
     *     shares pages with one that may
     * @throws InvalidRangeException if the range wraps around, lies in the kernel's half or holds no whole page
     * @throws UnmappedRangeException if nothing is mapped there, or in parts of it
     * @throws MarkNotTakenException if it is memory that cannot merge
     * @throws KsmException if the call fails otherwise; nothing is marked then
     */
    public MergeRegion adopt(long address, long length, RegionOptions options) {
        return adopt(new AddressRange(address, length), options, null, null);
    }

    /**
     * Takes in memory of somebody else who can tell whether it still exists. The region asks before every system call, and its
     * methods fail with {@link IllegalStateException} once the answer is no; {@link MergeRegion#close()} then leaves the memory
     * alone.
     *
     * @param address where it starts
     * @param length bytes; the region covers the whole pages inside
     * @param options its name, whether to mark it, and whether to verify marks
     * @param alive asked from any thread, while the region is taken: it must not call methods of the region or of a {@code Ksm}. It, and all it refers
     *     to, stays reachable until the region is closed
     * @return an open region
     * @throws IllegalArgumentException if {@code length} is not positive
     * @throws IllegalStateException if the memory is not alive; if it shares pages with a region that must never merge, or is
     *     to be such a region and shares pages with one that may
     * @throws InvalidRangeException if the range wraps around, lies in the kernel's half or holds no whole page
     * @throws UnmappedRangeException if nothing is mapped there, or in parts of it
     * @throws MarkNotTakenException if it is memory that cannot merge
     * @throws KsmException if the call fails otherwise; nothing is marked then
     */
    public MergeRegion adopt(long address, long length, RegionOptions options, BooleanSupplier alive) {
        Objects.requireNonNull(alive, "alive");
        return adopt(new AddressRange(address, length), options, alive, null);
    }

    /**
     * Takes in a direct buffer and marks it. A view of a memory segment that is confined to another thread is refused with {@code
     * WrongThreadException} (backend {@code ffm} can tell).
     *
     * @param direct a writable direct buffer; the region covers the whole pages of its capacity, whatever its position and
     *     limit, and keeps it reachable until closed. Free it by other means (as Netty does) only after that
     * @return an open region, already marked mergeable
     * @throws IllegalArgumentException if the buffer is on the heap, read-only or empty
     * @throws IllegalStateException if it is a view of a memory segment whose arena is closed (backend {@code ffm} can tell)
     * @throws InvalidRangeException if it holds no whole page
     * @throws MarkNotTakenException if it is memory that cannot merge, such as a shared file mapping
     * @throws KsmException if the call fails otherwise; nothing is marked then
     */
    public MergeRegion adopt(ByteBuffer direct) {
        return adopt(direct, RegionOptions.DEFAULT);
    }

    /**
     * Takes in a direct buffer. A view of a memory segment that is confined to another thread is refused with {@code
     * WrongThreadException} (backend {@code ffm} can tell).
     *
     * @param direct a writable direct buffer; the region covers the whole pages of its capacity, whatever its position and
     *     limit, and keeps it reachable until closed. Free it by other means (as Netty does) only after that
     * @param options its name, whether to mark it, and whether to verify marks
     * @return an open region
     * @throws IllegalArgumentException if the buffer is on the heap, read-only or empty
     * @throws IllegalStateException if it is a view of a memory segment whose arena is closed (backend {@code ffm} can tell); if
     *     it shares pages with a region that must never merge, or is to be such a region and shares pages with one that may
     * @throws InvalidRangeException if it holds no whole page
     * @throws MarkNotTakenException if it is memory that cannot merge, such as a shared file mapping
     * @throws KsmException if the call fails otherwise; nothing is marked then
     */
    public MergeRegion adopt(ByteBuffer direct, RegionOptions options) {
        if (!direct.isDirect()) {
            throw new IllegalArgumentException(
                    "the buffer is on the Java heap, whose objects move: use ByteBuffer.allocateDirect");
        }
        if (direct.isReadOnly()) {
            throw new IllegalArgumentException("the buffer is read-only: adopt the buffer it was made from");
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
                    memory + " holds no whole page of " + kernel.pageSize + " bytes: only whole pages can merge");
        }
        if (alive != null && !alive.getAsBoolean()) {
            throw new IllegalStateException("the memory at " + memory + " is no longer alive: its owner has freed it");
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
     * Marks many regions in as few system calls as possible ({@code process_madvise}, Linux 6.13 and later; one {@code madvise}
     * for each region elsewhere). The outcome is that of {@link MergeRegion#markMergeable()} on each, but all or none: if one
     * fails, none has changed.
     *
     * @param regions open regions of this {@code Ksm}; an empty collection is fine, repeated regions count once
     * @throws IllegalArgumentException if a region belongs to another {@code Ksm}
     * @throws IllegalStateException if a region is closed or must never merge
     * @throws KsmException as {@link MergeRegion#markMergeable()}
     */
    public void markMergeable(Collection<MergeRegion> regions) {
        mark(regions, true, null);
    }

    /**
     * Unmarks many regions in as few system calls as possible, as {@link #markMergeable(Collection)} marks them. What must be
     * copied is looked at together, in the way that all of them were opened with ({@link RegionOptions#unmerge()}), or as {@link
     * Unmerge#CHECKED} has it where they differ.
     *
     * @param regions open regions of this {@code Ksm}; an empty collection is fine, repeated regions count once
     * @throws IllegalArgumentException if a region belongs to another {@code Ksm}
     * @throws IllegalStateException if a region is closed
     * @throws KsmException as {@link MergeRegion#markUnmergeable()}
     */
    public void markUnmergeable(Collection<MergeRegion> regions) {
        mark(regions, false, null);
    }

    /**
     * As {@link #markUnmergeable(Collection)}, whatever the regions were opened with.
     *
     * @param regions open regions of this {@code Ksm}; an empty collection is fine, repeated regions count once
     * @param unmerge what to do before merged pages are taken apart
     * @throws IllegalArgumentException if a region belongs to another {@code Ksm}
     * @throws IllegalStateException if a region is closed
     * @throws KsmException as {@link MergeRegion#markUnmergeable()}
     */
    public void markUnmergeable(Collection<MergeRegion> regions, Unmerge unmerge) {
        mark(regions, false, Objects.requireNonNull(unmerge, "unmerge"));
    }

    private void mark(Collection<MergeRegion> regions, boolean mergeable, @Nullable Unmerge unmerge) {
        List<Change.Part> parts = regions.stream().distinct().map(this::wholeOf).toList();
        try {
            if (!parts.isEmpty()) {
                Change.apply(parts, mergeable, unmerge == null ? unmergeOf(parts) : unmerge);
            }
        } finally {
            Reference.reachabilityFence(regions);
        }
    }

    private static Unmerge unmergeOf(List<Change.Part> parts) {
        Unmerge first = parts.get(0).region().unmerge;
        return parts.stream().allMatch(part -> part.region().unmerge == first) ? first : Unmerge.CHECKED;
    }

    /**
     * Reads what regions occupy and save.
     *
     * <p>One pass over {@code /proc/self/smaps} for all regions. The kernel walks the page tables of all memory below the last
     * region, the Java heap among it, which takes milliseconds for each resident GiB, and prints a text of a kilobyte for each
     * mapping; the number of regions adds little. While it walks, other threads of the process can touch memory but wait
     * if they map or unmap some.
     *
     * <p>Where a region without guard pages, or adopted memory, shares a mapping with a neighbour, the mapping is split for a
     * second pass, by {@code MADV_RANDOM} and {@code MADV_SEQUENTIAL}, and then joined again. Changing or closing these regions
     * waits for it. A huge page that a region ends in is split for good.
     *
     * @param regions open regions of this {@code Ksm}; repeated regions count once
     * @return the numbers of each region, in the order given; {@link RegionStats#NONE} for fallback regions
     * @throws IllegalArgumentException if a region belongs to another {@code Ksm}
     * @throws IllegalStateException if a region is closed, or its memory no longer exists
     * @throws MapCountExceededException if a mapping must be split and the process has too many
     * @throws KsmException if the mappings change faster than they can be read, or cannot be split otherwise
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
     * Reads what all marked memory of this JVM occupies and saves, each page counted once: the marks in {@link #registry()},
     * without those of fallback regions. Costs what {@link #stats(Collection)} does, over all mappings of the process, and
     * allocates the same for any number of regions.
     *
     * @return the sum; {@link RegionStats#NONE} from {@link #fallback()}
     * @throws MapCountExceededException if marked memory shares a mapping with memory that others have marked, and the process
     *     has too many mappings to take them apart
     * @throws KsmException if the mappings change faster than they can be read, or cannot be taken apart otherwise
     * @throws java.io.UncheckedIOException if {@code /proc} cannot be read
     */
    public RegionStats stats() {
        return kernel.recordsOnly ? RegionStats.NONE : RegionTotals.read(kernel);
    }

    /**
     * Looks for what keeps merging from paying, as {@link #advice(Duration)} does, without judging how fast {@code ksmd} scans.
     *
     * @return what was found, the gravest first; empty if all is well
     * @throws KsmException as {@link #stats()}
     * @throws java.io.UncheckedIOException if {@code /proc} or {@code /sys} cannot be read
     */
    public List<Finding> advice() {
        return advice(Optional.empty());
    }

    /**
     * Looks for what keeps merging from paying: on the machine, in this process, and in what is marked of it. Costs what {@link
     * #stats()} does.
     *
     * @param lifeOfData how long data stays in memory unchanged
     * @return what was found, the gravest first; empty if all is well
     * @throws IllegalArgumentException if the life is negative
     * @throws KsmException as {@link #stats()}
     * @throws java.io.UncheckedIOException if {@code /proc} or {@code /sys} cannot be read
     */
    public List<Finding> advice(Duration lifeOfData) {
        if (lifeOfData.isNegative()) {
            throw new IllegalArgumentException("life of data " + lifeOfData + " is negative");
        }
        return advice(Optional.of(lifeOfData));
    }

    private List<Finding> advice(Optional<Duration> lifeOfData) {
        return Finding.of(KsmStats.read(), ProcessKsmStats.read(), stats(), lifeOfData);
    }

    /**
     * Waits until a share of the pages in use of some regions, taken together, is merged, or nothing more can come. For tests,
     * and for programs that load data at start and want to know what merging made of it.
     *
     * <pre>{@code
     * MergeOutcome outcome = ksm.awaitMerged(caches, 0.9, Duration.ofSeconds(30));
     * if (!outcome.isReached()) {
     *     log(outcome.end() + " at " + outcome.stats().mergedShare());
     * }
     * }</pre>
     *
     * <p>Watches the counters of {@code /sys/kernel/mm/ksm}, and reads {@link #stats(Collection)} when they have moved; a tenth of
     * the time at most is spent on that. It ends with {@link MergeOutcome.End#SETTLED} when {@code ksmd} has made four full scans
     * in which no more of these pages were merged; 32 where the setting {@code smart_scan} lets it pass over pages. Where the
     * counters cannot be read, as in some containers, nobody can know that, and it waits until the time is up.
     *
     * @param regions open regions of this {@code Ksm}; repeated regions count once
     * @param share of the pages in use, above 0 and at most 1; see {@link RegionStats#mergedShare()}
     * @param timeout how long at most; 0 looks once
     * @return how it ended; {@link MergeOutcome.End#NOT_MARKED} for no regions
     * @throws InterruptedException if the thread is interrupted before or meanwhile
     * @throws IllegalArgumentException if the share is not in its range, the timeout is negative, or a region belongs to another
     *     {@code Ksm}
     * @throws IllegalStateException if a region is closed before or meanwhile, which is noticed when a counter of the kernel has
     *     moved or the time is up
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

    private Change.Part wholeOf(MergeRegion region) {
        RegionState state = stateOf(region);
        return new Change.Part(state, state.range.start(), state.range.end());
    }
}
