// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
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
 * Makes the system calls of one backend. A call either returns what it failed with, for callers that own regions, or is
 * retried and throws the exception that names the cause. Callers have checked the arguments.
 */
final class Kernel {

    /** Pauses between attempts when memory is short; 15 ms in total. */
    private static final long[] RETRY_PAUSES_NANOS = {1_000_000, 2_000_000, 4_000_000, 8_000_000};

    /** How many bytes are overwritten with one bulk write. */
    private static final long CLEARED_PER_CALL = 1 << 20;

    final KsmBackend backend;
    final ProcSelf proc;
    final long pageSize;
    final UnmergeCheck unmergeCheck;
    private final MergedPages mergedPages;

    /** Whether advice about merging is only recorded and never reaches the kernel. */
    final boolean recordsOnly;

    private final AtomicReference<@Nullable MappedMemory> deferredUnmaps = new AtomicReference<>();

    private final NativeBuffers nativeBuffers;

    final BatchAdvice batchAdvice;

    final MappingReserve mappingReserve;

    /** How many closed regions keep their address ranges mapped until their buffers are garbage-collected. */
    final AtomicInteger waitingForViews = new AtomicInteger();

    Kernel(KsmBackend backend) {
        this(backend, new ProcSelf());
    }

    Kernel(KsmBackend backend, ProcSelf proc) {
        this(backend, proc, Path.of("/"));
    }

    /** For tests: reads merged pages and the memory that is left below {@code root}. */
    Kernel(KsmBackend backend, ProcSelf proc, Path root) {
        this.backend = backend;
        this.proc = proc;
        this.pageSize = backend.pageSize();
        this.recordsOnly = backend instanceof FallbackBackend;
        this.nativeBuffers = new NativeBuffers(backend);
        this.batchAdvice = new BatchAdvice(backend, nativeBuffers);
        this.mappingReserve = new MappingReserve(proc, waitingForViews);
        this.mergedPages = new MergedPages(root);
        this.unmergeCheck = new UnmergeCheck(root, proc, mergedPages, pageSize);
    }

    /**
     * Returns how much memory of this process {@code ksmd} has merged with the zero page.
     *
     * @return bytes; empty if the kernel does not report it
     */
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
     * Unmaps memory that no view reaches any more. At the mapping limit the kernel may refuse even that, if it had to
     * split a mapping. In that case the pages and the mark are dropped now, and the address range is unmapped by a
     * later {@link #unmapDeferred()}.
     *
     * @throws KsmException if the memory could not be unmapped now
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

    /** Allocates nothing on success. */
    private @Nullable FailedCall unmapOnce(long start, long length) {
        int result = backend.munmap(start, length);
        return result == 0 ? null : FailedCall.munmap(new AddressRange(start, length), -result);
    }

    private void defer(MappedMemory memory) {
        do {
            memory.next = deferredUnmaps.get();
        } while (!deferredUnmaps.compareAndSet(memory.next, memory));
    }

    /** Drops the pages of a range: the next access to them reads zeros. */
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
     * Does the same as {@link #discard}, without retries. Memory that mlock(2) keeps resident needs an advice of its
     * own, which exists since Linux 5.18.
     *
     * @return 0, or a positive errno
     */
    int tryDiscard(long address, long length) {
        int errno = advise(address, length, Linux.MADV_DONTNEED);
        return errno == Linux.EINVAL ? advise(address, length, Linux.MADV_DONTNEED_LOCKED) : errno;
    }

    /** Overwrites memory with zeros. */
    void clear(AddressRange range) {
        NativeMapping mapping = backend.map(range.start(), range.length(), this);
        byte[] zeros = new byte[(int) Math.min(range.length(), CLEARED_PER_CALL)];
        for (long offset = 0; offset < range.length(); offset += CLEARED_PER_CALL) {
            int length = (int) Math.min(CLEARED_PER_CALL, range.length() - offset);
            mapping.buffer(offset, length).put(0, zeros, 0, length);
        }
    }

    /** Tries again to unmap what {@link #unmapOrDefer} could not. */
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
        for (int attempt = 0; ; attempt++) {
            int errno = -backend.mprotect(address, length, protection);
            if (errno == 0) {
                return;
            }
            retryOrThrow(attempt, FailedCall.mprotect(new AddressRange(address, length), errno));
        }
    }

    /** Advises one range, with retries: the caller owns no region. */
    void madvise(long address, long length, int advice) {
        for (int attempt = 0; ; attempt++) {
            int errno = advise(address, length, advice);
            if (errno == 0) {
                return;
            }
            retryOrThrow(attempt, FailedCall.madvise(advice, new AddressRange(address, length), errno));
        }
    }

    /**
     * Advises one range with one call: the caller may own regions.
     *
     * @return 0, or a positive errno
     */
    int advise(long address, long length, int advice) {
        return -backend.madvise(address, length, advice);
    }

    /**
     * Advises ranges whose owner may have unmapped parts of them: the mapped parts are advised. The caller may own
     * regions.
     *
     * @return null, or the call that failed, after which no other was made
     */
    @Nullable
    FailedCall adviseMapped(List<AddressRange> ranges, int advice) {
        for (int i = 0; i < ranges.size(); i++) {
            AddressRange range = ranges.get(i);
            int errno = advise(range.start(), range.length(), advice);
            // madvise(2) returns ENOMEM for ranges that are partly unmapped, and EAGAIN where memory is short.
            if (errno != 0 && errno != Linux.ENOMEM) {
                return FailedCall.madvise(advice, range, errno);
            }
        }
        return null;
    }

    /** An operation that owns regions while it runs, and makes its system calls once. */
    interface Attempt {
        /** Returns null on success, or the call that failed; in that case nothing has changed. */
        @Nullable
        FailedCall make();
    }

    /**
     * Repeats an attempt until it succeeds, fails for a lasting cause, or has failed too often. Between attempts, when
     * no region is owned, it finds the cause and pauses.
     *
     * @param first the call with which an earlier attempt failed; null if there was none
     */
    void retrying(Attempt attempt, @Nullable FailedCall first) {
        FailedCall failed = first == null ? attempt.make() : first;
        for (int attempts = 0; failed != null; attempts++) {
            retryOrThrow(attempts, failed);
            failed = attempt.make();
        }
    }

    /**
     * Undoes what a call did before it failed. In a process that is opted in as a whole, memory was mergeable before
     * and stays so. The caller may own regions. Throws nothing, since a failure is being reported already.
     *
     * @return a call that failed to undo its part, to be {@linkplain #report reported} when no region is owned; null if
     *     there was none
     */
    @Nullable
    FailedCall undo(List<AddressRange> ranges, int advice) {
        FailedCall notUndone = null;
        try {
            if (advice == Linux.MADV_UNMERGEABLE && isOptedIn()) {
                return null;
            }
            for (int i = 0; i < ranges.size(); i++) {
                FailedCall failed = undoOne(ranges.get(i), advice);
                notUndone = failed == null ? notUndone : failed;
            }
        } catch (Throwable t) {
            // Memory or stack ran out, as it probably did for the first call.
        }
        return notUndone;
    }

    /** Does the same as {@link #undo(List, int)} for one range. */
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
        // ENOMEM: the range has the gap that made the first call fail, and the mapped rest was advised. EINVAL: the
        // kernel does not know the advice, so the first call did nothing.
        return errno == 0 || errno == Linux.ENOMEM || errno == Linux.EINVAL
                ? null
                : FailedCall.madvise(advice, range, errno);
    }

    static void report(@Nullable FailedCall notUndone) {
        if (notUndone != null) {
            Log.warning("could not undo advice: " + notUndone, null);
        }
    }

    /** {@return whether to check for headroom before this many bytes are unmarked} */
    boolean mustCheckBeforeUnmerging(long length, Unmerge how) {
        return how != Unmerge.UNCHECKED && !recordsOnly && unmergeCheck.isDue(length);
    }

    /** Throws an exception if the kernel accepted a mark and ignored it. */
    static void requireTaken(Smaps mappings, List<AddressRange> marked) {
        List<AddressRange> missing = ProcSelf.notMergeable(mappings, marked);
        if (!missing.isEmpty()) {
            throw new MarkNotTakenException(missing);
        }
    }

    /** {@return whether the process is opted in as a whole; false where the kernel does not report it} */
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

    /**
     * Names a mapping. If the kernel has no CONFIG_ANON_VMA_NAME, or there is no memory for the name, the mapping stays
     * unnamed.
     */
    void nameMapping(long address, long length, String name) {
        NativeBuffers.NativeBuffer buffer = nativeBuffers.take();
        if (buffer == null) {
            return;
        }
        try {
            for (int i = 0; i < name.length(); i++) {
                // RegionOptions accepts only ASCII.
                buffer.bytes().put(i, (byte) name.charAt(i));
            }
            buffer.bytes().put(name.length(), (byte) 0);
            backend.prctl(Linux.PR_SET_VMA, Linux.PR_SET_VMA_ANON_NAME, address, length, buffer.address());
        } finally {
            nativeBuffers.giveBack(buffer);
        }
    }

    /** Returns after a pause if the same call may succeed, and throws otherwise. */
    private void retryOrThrow(int attempt, FailedCall call) {
        KsmException cause = explain(call);
        if (!cause.mayRetry() || attempt == RETRY_PAUSES_NANOS.length) {
            throw cause;
        }
        LockSupport.parkNanos(RETRY_PAUSES_NANOS[attempt]);
    }

    /** {@return the exception that names the cause of a failure} The caller owns no region. */
    KsmException explain(FailedCall call) {
        return new FailureCauses(backend, proc).explain(call);
    }
}
