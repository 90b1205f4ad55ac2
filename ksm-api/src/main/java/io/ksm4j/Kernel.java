package io.ksm4j;

import io.ksm4j.spi.KsmBackend;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The system calls of one backend, with every failure turned into the exception that names its cause. Arguments have been
 * checked before they come here.
 */
final class Kernel {

    /** Pauses before an EAGAIN or ENOMEM that may pass is believed; 15 ms in all. */
    private static final long[] RETRY_PAUSES_NANOS = {1_000_000, 2_000_000, 4_000_000, 8_000_000};

    /** The most bytes that a call with an array of ranges takes, as readv(2) says. */
    private static final long MAX_RW_COUNT = 0x7ffff000;

    /** A pidfd number that says no pidfd is needed or known yet. */
    private static final int NO_PIDFD = 0;

    final KsmBackend backend;
    final ProcSelf proc;
    final long pageSize;
    final UnmergeCheck unmergeCheck;
    private final MergedPages mergedPages;

    /** Whether advice about merging is told to nobody. */
    final boolean recordsOnly;

    /** What {@code process_madvise} takes for this process; 0 before the first batch. */
    private volatile int pidfd = NO_PIDFD;

    private volatile boolean processMadviseRefused;

    private final Queue<AddressRange> deferredUnmaps = new ConcurrentLinkedQueue<>();

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
            FailedCall call = new FailedCall("mmap of " + length + " bytes", null, (int) -result);
            retryOrThrow(attempt, call, null);
        }
    }

    /**
     * Unmaps memory that nothing reaches any more. At the mapping limit the kernel may refuse even that, when it would have
     * to split a mapping; then the pages and the mark go now and the addresses with a later call.
     */
    void unmapOrDefer(AddressRange range) {
        try {
            retrying("munmap", range.start(), range.length(), () -> backend.munmap(range.start(), range.length()));
        } catch (KsmException e) {
            tryDiscard(range.start(), range.length());
            backend.madvise(range.start(), range.length(), Linux.MADV_UNMERGEABLE);
            deferredUnmaps.add(range);
            throw e;
        }
    }

    /** Gives pages back; whoever touches them next finds zeros. */
    void discard(long address, long length) {
        int result = tryDiscard(address, length);
        if (result != 0) {
            madviseFailed(-result, address, length, Linux.MADV_DONTNEED);
        }
    }

    /** Memory that mlock(2) keeps resident is given back by an advice of its own, since Linux 5.18. */
    private int tryDiscard(long address, long length) {
        int result = backend.madvise(address, length, Linux.MADV_DONTNEED);
        return result == -Linux.EINVAL ? backend.madvise(address, length, Linux.MADV_DONTNEED_LOCKED) : result;
    }

    /** Tries again what {@link #unmapOrDefer} could not do. */
    void unmapDeferred() {
        for (int left = deferredUnmaps.size(); left > 0; left--) {
            AddressRange range = deferredUnmaps.poll();
            if (range == null) {
                return;
            }
            if (backend.munmap(range.start(), range.length()) != 0) {
                deferredUnmaps.add(range);
            }
        }
    }

    void mprotect(long address, long length, int protection) {
        retrying("mprotect", address, length, () -> backend.mprotect(address, length, protection));
    }

    /** The hot path: one call, and nothing else when it succeeds. */
    void madvise(long address, long length, int advice) {
        int result = backend.madvise(address, length, advice);
        if (result != 0) {
            madviseFailed(-result, address, length, advice);
        }
    }

    private void madviseFailed(int firstErrno, long address, long length, int advice) {
        int errno = firstErrno;
        for (int attempt = 0; errno != 0; attempt++) {
            AddressRange range = new AddressRange(address, length);
            retryOrThrow(attempt, new FailedCall("madvise(" + adviceName(advice) + ")", range, errno), range);
            errno = -backend.madvise(address, length, advice);
        }
    }

    /** Like one {@link #madvise} after the other, in fewer system calls where the kernel has {@code process_madvise}. */
    void madvise(List<AddressRange> ranges, int advice) {
        int done = 0;
        if (ranges.size() > 1) {
            ByteBuffer iovecs = ByteBuffer.allocateDirect(Math.min(ranges.size(), Linux.IOV_MAX) * 2 * Long.BYTES)
                    .order(ByteOrder.nativeOrder());
            while (done < ranges.size() && !processMadviseRefused) {
                int accepted = processMadvise(ranges.subList(done, ranges.size()), iovecs, advice);
                done += accepted;
                if (accepted == Linux.IOV_MAX || done == ranges.size()) {
                    continue;
                }
                // The kernel stopped at this range. Asked for it alone, it says why; if it has no complaint, then it is
                // process_madvise itself that cannot be used here, or the range is longer than what one call takes.
                AddressRange range = ranges.get(done);
                madvise(range.start(), range.length(), advice);
                done++;
                processMadviseRefused = accepted == 0 && range.length() <= MAX_RW_COUNT;
            }
        }
        for (AddressRange range : ranges.subList(done, ranges.size())) {
            madvise(range.start(), range.length(), advice);
        }
    }

    /** Advises as many of the first {@link Linux#IOV_MAX} ranges as the kernel takes, and says how many those were. */
    private int processMadvise(List<AddressRange> ranges, ByteBuffer iovecs, int advice) {
        int count = Math.min(ranges.size(), Linux.IOV_MAX);
        iovecs.clear();
        for (AddressRange range : ranges.subList(0, count)) {
            iovecs.putLong(range.start()).putLong(range.length());
        }
        long result;
        try {
            result = processMadvise(backend.address(iovecs), count, advice);
        } finally {
            // The kernel reads the ranges during the call; until then the buffer must not be freed.
            Reference.reachabilityFence(iovecs);
        }
        int accepted = 0;
        for (long bytes = 0; accepted < count; accepted++) {
            bytes += ranges.get(accepted).length();
            if (bytes > result) {
                break;
            }
        }
        return accepted;
    }

    private long processMadvise(long iovecs, int count, int advice) {
        if (pidfd == NO_PIDFD) {
            pidfd = Linux.PIDFD_SELF;
        }
        long result = backend.syscall(Linux.SYS_PROCESS_MADVISE, pidfd, iovecs, count, advice, 0);
        if (result == -Linux.EBADF && pidfd == Linux.PIDFD_SELF) {
            int opened = (int) backend.syscall(
                    Linux.SYS_PIDFD_OPEN, ProcessHandle.current().pid(), 0, 0, 0, 0);
            if (opened < 0) {
                return opened;
            }
            // One descriptor for the life of the JVM; the kernel closes it on exec.
            pidfd = opened;
            result = backend.syscall(Linux.SYS_PROCESS_MADVISE, pidfd, iovecs, count, advice, 0);
        }
        return result;
    }

    /** Like {@link #madvise(List, int)}, of memory that its owner may have unmapped in part: what is left of it is advised. */
    void madviseMapped(List<AddressRange> ranges, int advice) {
        try {
            madvise(ranges, advice);
        } catch (UnmappedRangeException someGone) {
            for (AddressRange range : ranges) {
                try {
                    madvise(range.start(), range.length(), advice);
                } catch (UnmappedRangeException gone) {
                    Ksm.logger().log(Level.DEBUG, "memory was unmapped before its region was closed", gone);
                }
            }
        }
    }

    /** The hot path of unmarking: as {@link #madvise(long, long, int)}, unless it is time to look whether there is room. */
    void unmerge(long address, long length, Unmerge how) {
        if (mayUnmerge(length, how)) {
            madvise(address, length, Linux.MADV_UNMERGEABLE);
        } else {
            unmergeCheck.takeApart(
                    List.of(new AddressRange(address, length)), how, ranges -> madvise(ranges, Linux.MADV_UNMERGEABLE));
        }
    }

    void unmerge(List<AddressRange> ranges, Unmerge how) {
        unmerge(ranges, how, some -> madvise(some, Linux.MADV_UNMERGEABLE));
    }

    /** As {@link #madviseMapped}. */
    void unmergeMapped(List<AddressRange> ranges, Unmerge how) {
        unmerge(ranges, how, some -> madviseMapped(some, Linux.MADV_UNMERGEABLE));
    }

    private void unmerge(List<AddressRange> ranges, Unmerge how, Consumer<List<AddressRange>> unmark) {
        if (mayUnmerge(ranges.stream().mapToLong(AddressRange::length).sum(), how)) {
            unmark.accept(ranges);
        } else {
            unmergeCheck.takeApart(ranges, how, unmark);
        }
    }

    private boolean mayUnmerge(long length, Unmerge how) {
        return how == Unmerge.UNCHECKED || recordsOnly || !unmergeCheck.isDue(length);
    }

    /**
     * Takes back what a call that failed half-way has done. Its own failure has no further answer and is logged. In a process
     * that is opted in as a whole, memory was mergeable before and stays so.
     */
    void undo(List<AddressRange> ranges, int advice) {
        if (advice == Linux.MADV_UNMERGEABLE && ProcessMerging.isOptedIn(this)) {
            return;
        }
        for (AddressRange range : ranges) {
            int result = backend.madvise(range.start(), range.length(), advice);
            // ENOMEM is the gap that made the first call fail: the mapped rest was advised.
            if (result != 0 && result != -Linux.ENOMEM) {
                Ksm.logger()
                        .log(
                                Level.WARNING,
                                "could not take back advice: "
                                        + new FailedCall("madvise(" + adviceName(advice) + ")", range, -result));
            }
        }
    }

    /** After a mark: fails if the kernel accepted the advice and ignored it. */
    void requireTaken(List<AddressRange> marked) {
        if (marked.isEmpty()) {
            return;
        }
        List<AddressRange> missing = proc.notMergeable(marked);
        if (!missing.isEmpty()) {
            throw new MarkNotTakenException(missing);
        }
    }

    int prctl(String name, int option, long arg2) {
        for (int attempt = 0; ; attempt++) {
            int result = backend.prctl(option, arg2, 0, 0, 0);
            if (result >= 0) {
                return result;
            }
            FailedCall call = new FailedCall("prctl(" + name + ")", null, -result);
            if (call.errno() == Linux.EINVAL) {
                throw new KsmUnsupportedException(
                        call, "this kernel cannot opt a whole process in: it takes Linux 6.4 or later with CONFIG_KSM");
            }
            retryOrThrow(attempt, call, null);
        }
    }

    /** Names a mapping. Kernels without CONFIG_ANON_VMA_NAME refuse every name, which costs the name alone. */
    void nameMapping(long address, long length, String name) {
        byte[] ascii = name.getBytes(StandardCharsets.US_ASCII);
        ByteBuffer terminated =
                ByteBuffer.allocateDirect(ascii.length + 1).put(ascii).put((byte) 0);
        try {
            backend.prctl(Linux.PR_SET_VMA, Linux.PR_SET_VMA_ANON_NAME, address, length, backend.address(terminated));
        } finally {
            // The kernel copies the string during the call; until then the buffer must not be freed.
            Reference.reachabilityFence(terminated);
        }
    }

    private interface Call {
        int run();
    }

    private void retrying(String name, long address, long length, Call call) {
        for (int attempt = 0; ; attempt++) {
            int result = call.run();
            if (result == 0) {
                return;
            }
            AddressRange range = new AddressRange(address, length);
            retryOrThrow(attempt, new FailedCall(name, range, -result), range);
        }
    }

    /** Returns after a pause if the call is worth making again, and throws otherwise. */
    private void retryOrThrow(int attempt, FailedCall call, @Nullable AddressRange range) {
        KsmException cause = explain(call, range);
        if (!cause.mayRetry() || attempt == RETRY_PAUSES_NANOS.length) {
            throw cause;
        }
        LockSupport.parkNanos(RETRY_PAUSES_NANOS[attempt]);
    }

    /** Finds the cause by looking: what is mapped, how many mappings there are, whether the kernel has KSM at all. */
    private KsmException explain(FailedCall call, @Nullable AddressRange range) {
        try {
            return switch (call.errno()) {
                case Linux.EINVAL -> explainInvalid(call, range);
                case Linux.ENOMEM, Linux.EAGAIN -> explainNoMemory(call, range);
                case Linux.EPERM, Linux.EACCES ->
                    new KsmPermissionException(
                            call,
                            "this process may not do that: a seccomp filter or another security policy forbids it");
                case Linux.ENOSYS ->
                    new KsmUnsupportedException(
                            call, "the kernel does not have this system call, or a seccomp filter hides it");
                default -> new KsmException(call, "none of the causes that ksm4j knows");
            };
        } catch (UncheckedIOException e) {
            KsmException unexplained = new KsmException(call, "the cause could not be found: " + e.getMessage());
            unexplained.addSuppressed(e);
            return unexplained;
        }
    }

    private KsmException explainInvalid(FailedCall call, @Nullable AddressRange range) {
        if (call.name().equals("madvise(MADV_MERGEABLE)") || call.name().equals("madvise(MADV_UNMERGEABLE)")) {
            int probe = probeMergeable();
            if (probe == -Linux.EINVAL) {
                return new KsmUnsupportedException(
                        call,
                        "the kernel was built without KSM: use a kernel with CONFIG_KSM=y, or Ksm.systemOrFallback()");
            }
        }
        return range == null
                ? new KsmException(call, "the kernel refused the arguments")
                : new InvalidRangeException(call, "no mapping of this process can lie there");
    }

    private KsmException explainNoMemory(FailedCall call, @Nullable AddressRange range) {
        if (range != null && call.errno() == Linux.ENOMEM) {
            List<AddressRange> gaps = proc.gaps(range);
            if (!gaps.isEmpty()) {
                return new UnmappedRangeException(
                        call,
                        gaps,
                        "nothing is mapped at " + gaps
                                + "; the mapped rest was advised by the kernel, and ksm4j has taken that"
                                + " back: adopt the mapped parts one by one");
            }
        }
        OptionalLong limit = proc.maxMapCount();
        long count = proc.mappingCount();
        // Marking inside a mapping splits it in up to three, so the last two places cannot be had either.
        if (limit.isPresent() && count + 2 > limit.getAsLong()) {
            return new MapCountExceededException(call, count, limit.getAsLong());
        }
        return new ResourceUnavailableException(
                call,
                "memory is short: check the free memory of the machine and the limits of the process and its cgroup");
    }

    /**
     * Whether the kernel takes {@code MADV_MERGEABLE} at all, tried on a page of our own.
     *
     * @return 0, or a negative errno
     */
    int probeMergeable() {
        long page = backend.mmap(pageSize, Linux.PROT_READ | Linux.PROT_WRITE, Linux.MAP_PRIVATE | Linux.MAP_ANONYMOUS);
        if (Linux.failed(page)) {
            return (int) page;
        }
        try {
            return backend.madvise(page, pageSize, Linux.MADV_MERGEABLE);
        } finally {
            backend.munmap(page, pageSize);
        }
    }

    private static String adviceName(int advice) {
        return switch (advice) {
            case Linux.MADV_RANDOM -> "MADV_RANDOM";
            case Linux.MADV_SEQUENTIAL -> "MADV_SEQUENTIAL";
            case Linux.MADV_DONTNEED -> "MADV_DONTNEED";
            case Linux.MADV_MERGEABLE -> "MADV_MERGEABLE";
            case Linux.MADV_UNMERGEABLE -> "MADV_UNMERGEABLE";
            case Linux.MADV_HUGEPAGE -> "MADV_HUGEPAGE";
            case Linux.MADV_NOHUGEPAGE -> "MADV_NOHUGEPAGE";
            case Linux.MADV_POPULATE_WRITE -> "MADV_POPULATE_WRITE";
            default -> "advice " + advice;
        };
    }
}
