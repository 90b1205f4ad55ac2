// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.linux.Linux;
import io.ksm4j.spi.KsmBackend;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Advises many ranges with few system calls where the kernel has {@code process_madvise(2)}, and one by one elsewhere.
 */
final class BatchAdvice {

    /** The maximum number of bytes for a call with an array of ranges, as readv(2) says. */
    private static final long MAX_RW_COUNT = 0x7ffff000;

    private static final int NO_PIDFD = 0;

    private final KsmBackend backend;
    private final NativeBuffers buffers;

    /** The PID file descriptor of this process, or what stands for it; {@link #NO_PIDFD} before the first batch. */
    private volatile int pidfd = NO_PIDFD;

    private volatile boolean isRefused;

    BatchAdvice(KsmBackend backend, NativeBuffers buffers) {
        this.backend = backend;
        this.buffers = buffers;
        this.isRefused = backend instanceof FallbackBackend;
    }

    /**
     * Returns a buffer for {@link #advise}, to be passed to {@link #giveBack}. Taking it may block, so the caller owns
     * no region.
     *
     * @return the buffer; null if it would be of no use or there is no memory for one
     */
    NativeBuffers.@Nullable NativeBuffer bufferFor(int ranges) {
        return ranges > 1 && !isRefused ? buffers.take() : null;
    }

    void giveBack(NativeBuffers.@Nullable NativeBuffer buffer) {
        if (buffer != null) {
            buffers.giveBack(buffer);
        }
    }

    /**
     * Advises ranges in order, up to the first failure. The caller may own regions.
     *
     * @param buffer for the array of ranges; null to make one call for each range
     * @return null, or the call that failed
     */
    @Nullable
    FailedCall advise(List<AddressRange> ranges, int advice, NativeBuffers.@Nullable NativeBuffer buffer) {
        int done = 0;
        while (buffer != null && done < ranges.size() && !isRefused) {
            int count = Math.min(ranges.size() - done, Linux.IOV_MAX);
            int accepted = adviseBatch(ranges, done, count, buffer, advice);
            done += accepted;
            if (accepted == count) {
                continue;
            }
            // The kernel stopped at this range. A call for it alone returns the reason. If that call succeeds, either
            // process_madvise cannot be used here, or the range is longer than one call accepts.
            AddressRange range = ranges.get(done);
            FailedCall failed = adviseOne(range, advice);
            if (failed != null) {
                return failed;
            }
            done++;
            isRefused = accepted == 0 && range.length() <= MAX_RW_COUNT;
        }
        for (; done < ranges.size(); done++) {
            FailedCall failed = adviseOne(ranges.get(done), advice);
            if (failed != null) {
                return failed;
            }
        }
        return null;
    }

    private @Nullable FailedCall adviseOne(AddressRange range, int advice) {
        int errno = -backend.madvise(range.start(), range.length(), advice);
        return errno == 0 ? null : FailedCall.madvise(advice, range, errno);
    }

    /** {@return how many of the ranges the kernel accepted, counted from the first} */
    private int adviseBatch(
            List<AddressRange> ranges, int first, int count, NativeBuffers.NativeBuffer buffer, int advice) {
        for (int i = 0; i < count; i++) {
            AddressRange range = ranges.get(first + i);
            buffer.bytes().putLong(2 * i * Long.BYTES, range.start());
            buffer.bytes().putLong((2 * i + 1) * Long.BYTES, range.length());
        }
        long result = processMadvise(buffer.address(), count, advice);
        int accepted = 0;
        for (long bytes = 0; accepted < count; accepted++) {
            bytes += ranges.get(first + accepted).length();
            if (bytes > result) {
                break;
            }
        }
        return accepted;
    }

    /** {@return the number of bytes advised, or a negative errno} */
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
}
