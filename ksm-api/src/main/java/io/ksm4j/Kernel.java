package io.ksm4j;

import io.ksm4j.internal.Log;
import io.ksm4j.internal.linux.Linux;
import io.ksm4j.internal.linux.MergedPages;
import io.ksm4j.internal.linux.Smaps;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.NativeMapping;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * The system calls of one backend, with every failure turned into the exception that names its cause. Arguments have been
 * checked before they come here.
 */
final class Kernel {

    /** Pauses before an EAGAIN or ENOMEM that may pass is believed; 15 ms in all. */
    private static final long[] RETRY_PAUSES_NANOS = {1_000_000, 2_000_000, 4_000_000, 8_000_000};

    private static final long CLEARED_AT_ONCE = 1 << 20;

    final KsmBackend backend;
    final ProcSelf proc;
    final long pageSize;
    final UnmergeCheck unmergeCheck;
    private final MergedPages mergedPages;

    /** Whether advice about merging is told to nobody. */
    final boolean recordsOnly;

    private final AtomicReference<@Nullable MappedMemory> deferredUnmaps = new AtomicReference<>();

    private final NativeBuffers nativeBuffers;

    final BatchAdvice batchAdvice;

    final MappingReserve mappingReserve;

    /** How many closed regions' addresses stay mapped until their buffers are collected. */
    final AtomicInteger waitingForViews = new AtomicInteger();

    Kernel(KsmBackend backend) {
        this(backend, new ProcSelf());
    }

    Kernel(KsmBackend backend, ProcSelf proc) {
        this(backend, proc, Path.of("/"));
    }

    /** For tests: what is merged and what is left is read below {@code root}. */
    Kernel(KsmBackend backend, ProcSelf proc, Path root) {
        this.backend = backend;
        this.proc = proc;
        this.pageSize = backend.pageSize();
        this.recordsOnly = backend instanceof FallbackBackend;
        this.nativeBuffers = new NativeBuffers(backend);
        this.batchAdvice = new BatchAdvice(backend, nativeBuffers);
        this.mappingReserve = new MappingReserve(proc);
        this.mergedPages = new MergedPages(root);
        this.unmergeCheck = new UnmergeCheck(root, proc, mergedPages, pageSize);
    }

    /** What {@code ksmd} has replaced by the kernel's page of zeros in this process; empty if the kernel does not tell. */
    OptionalLong ksmZeroBytes() {
        long pages = mergedPages.zeroPages();
        return pages == MergedPages.UNKNOWN ? OptionalLong.empty() : OptionalLong.of(pages * pageSize);
    }

    boolean isPageAligned(long value) {
        return (value & (pageSize - 1)) == 0;
    }

    long mmap(long length, int protection) {
        for (int attempt = 0; ; attempt++) {
            long result = backend.mmap(length, protection, Linux.MAP_PRIVATE | Linux.MAP_ANONYMOUS);
            if (!Linux.failed(result)) {
                return result;
            }
            retryOrThrow(attempt, FailedCall.mmap(length, (int) -result));
        }
    }

    /**
     * Unmaps memory that no view reaches any more. At the mapping limit the kernel may refuse even that, when it would have to split a
     * mapping; then the pages and the mark go now and the addresses with a later call.
     */
    void unmapOrDefer(MappedMemory memory) {
        long start = memory.start();
        long length = memory.length();
        boolean unmapped = false;
        try {
            FailedCall failed = unmapOnce(start, length);
            if (failed != null) {
                retrying(() -> unmapOnce(start, length), failed);
            }
            unmapped = true;
        } finally {
            if (!unmapped) {
                try {
                    tryDiscard(start, length);
                    backend.madvise(start, length, Linux.MADV_UNMERGEABLE);
                } finally {
                    defer(memory);
                }
            }
        }
    }

    /** Allocates nothing if it succeeds. */
    private @Nullable FailedCall unmapOnce(long start, long length) {
        int result = backend.munmap(start, length);
        return result == 0 ? null : FailedCall.munmap(new AddressRange(start, length), -result);
    }

    private void defer(MappedMemory memory) {
        do {
            memory.next = deferredUnmaps.get();
        } while (!deferredUnmaps.compareAndSet(memory.next, memory));
    }

    /** Gives pages back: the next touch of them finds zeros. */
    void discard(long address, long length) {
        FailedCall failed = discardOnce(address, length);
        if (failed != null) {
            retrying(() -> discardOnce(address, length), failed);
        }
    }

    private @Nullable FailedCall discardOnce(long address, long length) {
        int errno = tryDiscard(address, length);
        return errno == 0 ? null : FailedCall.madvise(Linux.MADV_DONTNEED, new AddressRange(address, length), errno);
    }

    /**
     * As {@link #discard}, in one call or, for memory that mlock(2) keeps resident, since Linux 5.18 by an advice of its own.
     *
     * @return 0, or the error number
     */
    int tryDiscard(long address, long length) {
        int errno = advise(address, length, Linux.MADV_DONTNEED);
        return errno == Linux.EINVAL ? advise(address, length, Linux.MADV_DONTNEED_LOCKED) : errno;
    }

    /** Overwrites memory with zeros. */
    void clear(AddressRange range) {
        NativeMapping mapping = backend.map(range.start(), range.length(), this);
        byte[] zeros = new byte[(int) Math.min(range.length(), CLEARED_AT_ONCE)];
        for (long offset = 0; offset < range.length(); offset += CLEARED_AT_ONCE) {
            int length = (int) Math.min(CLEARED_AT_ONCE, range.length() - offset);
            mapping.buffer(offset, length).put(0, zeros, 0, length);
        }
    }

    /** Tries again what {@link #unmapOrDefer} could not do. */
    void unmapDeferred() {
        MappedMemory memory = deferredUnmaps.get() == null ? null : deferredUnmaps.getAndSet(null);
        while (memory != null) {
            MappedMemory next = memory.next;
            if (backend.munmap(memory.start(), memory.length()) != 0) {
                defer(memory);
            }
            memory = next;
        }
    }

    void mprotect(long address, long length, int protection) {
        retrying(
                () -> {
                    int errno = -backend.mprotect(address, length, protection);
                    return errno == 0 ? null : FailedCall.mprotect(new AddressRange(address, length), errno);
                },
                null);
    }

    /** Advises one range, with retries and explanations: the caller owns no region. */
    void madvise(long address, long length, int advice) {
        retrying(
                () -> {
                    int errno = advise(address, length, advice);
                    return errno == 0 ? null : FailedCall.madvise(advice, new AddressRange(address, length), errno);
                },
                null);
    }

    /**
     * Advises one range, for owners of regions: one call, which neither waits nor explains.
     *
     * @return 0, or the error number
     */
    int advise(long address, long length, int advice) {
        return -backend.madvise(address, length, advice);
    }

    /** As {@link BatchAdvice#advise}, of memory that its owner may have unmapped in part: the rest is advised. */
    @Nullable
    FailedCall adviseMapped(List<AddressRange> ranges, int advice) {
        for (int i = 0; i < ranges.size(); i++) {
            AddressRange range = ranges.get(i);
            int errno = advise(range.start(), range.length(), advice);
            // madvise(2) says so of ranges that are unmapped in part; where memory is short it says EAGAIN.
            if (errno != 0 && errno != Linux.ENOMEM) {
                return FailedCall.madvise(advice, range, errno);
            }
        }
        return null;
    }

    /** What a call does that an owner of regions makes, with all that belongs to it. */
    interface Attempt {
        /** Returns null if it succeeded, or the call that failed, with nothing changed. */
        @Nullable
        FailedCall make();
    }

    /**
     * Makes attempts until one succeeds or fails for a cause that will not pass, with pauses and explanations between them, when no region is owned.
     *
     * @param first what an attempt has failed with that was made already; null if there was none
     */
    void retrying(Attempt attempt, @Nullable FailedCall first) {
        FailedCall failed = first == null ? attempt.make() : first;
        for (int attempts = 0; failed != null; attempts++) {
            retryOrThrow(attempts, failed);
            failed = attempt.make();
        }
    }

    /**
     * Takes back what a call that failed half-way has done. In a process that is opted in as a whole, memory was mergeable before and
     * stays so. For owners of regions; throws nothing, since there is a failure to be reported already.
     *
     * @return what could not be taken back, to be {@linkplain #report reported} when no region is owned; null if nothing
     */
    @Nullable
    FailedCall undo(List<AddressRange> ranges, int advice) {
        FailedCall notTakenBack = null;
        try {
            if (advice == Linux.MADV_UNMERGEABLE && isOptedIn()) {
                return null;
            }
            for (int i = 0; i < ranges.size(); i++) {
                FailedCall failed = undoOne(ranges.get(i), advice);
                notTakenBack = failed == null ? notTakenBack : failed;
            }
        } catch (Throwable t) {
            // The memory or the stack that the first call lacked.
        }
        return notTakenBack;
    }

    /** As {@link #undo(List, int)}. */
    @Nullable
    FailedCall undo(AddressRange range, int advice) {
        try {
            return advice == Linux.MADV_UNMERGEABLE && isOptedIn() ? null : undoOne(range, advice);
        } catch (Throwable t) {
            return null;
        }
    }

    private @Nullable FailedCall undoOne(AddressRange range, int advice) {
        int errno = advise(range.start(), range.length(), advice);
        // ENOMEM is the gap that made the first call fail: the mapped rest was advised. EINVAL says that the kernel
        // does not know the advice, so that nothing was done that could be taken back.
        return errno == 0 || errno == Linux.ENOMEM || errno == Linux.EINVAL
                ? null
                : FailedCall.madvise(advice, range, errno);
    }

    static void report(@Nullable FailedCall notTakenBack) {
        if (notTakenBack != null) {
            Log.warning("could not take back advice: " + notTakenBack, null);
        }
    }

    /** Whether to look for room before so many bytes are unmarked. */
    boolean mustLookBeforeUnmerging(long length, Unmerge how) {
        return how != Unmerge.UNCHECKED && !recordsOnly && unmergeCheck.isDue(length);
    }

    /** After a mark: fails if the kernel accepted the advice and ignored it. */
    static void requireTaken(Smaps mappings, List<AddressRange> marked) {
        List<AddressRange> missing = ProcSelf.notMergeable(mappings, marked);
        if (!missing.isEmpty()) {
            throw new MarkNotTakenException(missing);
        }
    }

    /** Whether the process is opted in as a whole; false where the kernel cannot say. */
    boolean isOptedIn() {
        return backend.prctl(Linux.PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1;
    }

    int prctl(String name, int option, long arg2) {
        for (int attempt = 0; ; attempt++) {
            int result = backend.prctl(option, arg2, 0, 0, 0);
            if (result >= 0) {
                return result;
            }
            FailedCall call = FailedCall.prctl(name, -result);
            if (call.errno() == Linux.EINVAL) {
                throw new KsmUnsupportedException(
                        call, "this kernel cannot opt a whole process in: it takes Linux 6.4 or later with CONFIG_KSM");
            }
            retryOrThrow(attempt, call);
        }
    }

    /** Names a mapping. Kernels without CONFIG_ANON_VMA_NAME refuse every name; that, or no memory for it, costs the name alone. */
    void nameMapping(long address, long length, String name) {
        NativeBuffers.NativeBuffer buffer = nativeBuffers.take();
        if (buffer == null) {
            return;
        }
        try {
            for (int i = 0; i < name.length(); i++) {
                // RegionOptions takes ASCII only.
                buffer.bytes().put(i, (byte) name.charAt(i));
            }
            buffer.bytes().put(name.length(), (byte) 0);
            backend.prctl(Linux.PR_SET_VMA, Linux.PR_SET_VMA_ANON_NAME, address, length, buffer.address());
        } finally {
            nativeBuffers.giveBack(buffer);
        }
    }

    /** Returns after a pause if the call is worth making again, and throws otherwise. */
    private void retryOrThrow(int attempt, FailedCall call) {
        KsmException cause = explain(call);
        if (!cause.mayRetry() || attempt == RETRY_PAUSES_NANOS.length) {
            throw cause;
        }
        LockSupport.parkNanos(RETRY_PAUSES_NANOS[attempt]);
    }

    /** Returns the exception that names the cause of a failure; the caller owns no region. */
    KsmException explain(FailedCall call) {
        return new FailureCauses(backend, proc).explain(call);
    }
}
