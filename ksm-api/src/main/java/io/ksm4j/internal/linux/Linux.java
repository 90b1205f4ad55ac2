// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

/**
 * Constants of Linux's system call interface, with the values of the generic interface, which x86-64, aarch64, riscv64,
 * ppc64le, s390x and loongarch64 share. glibc and musl use the same values.
 */
public final class Linux {

    /** Pages may be read. */
    public static final int PROT_READ = 1;

    /** Pages may be written. */
    public static final int PROT_WRITE = 2;

    /** Any access causes a fault; used for guard pages. */
    public static final int PROT_NONE = 0;

    /** Writes are visible to this process only; only private pages can be merged. */
    public static final int MAP_PRIVATE = 0x02;

    /** Memory filled with zeros, not backed by a file. */
    public static final int MAP_ANONYMOUS = 0x20;

    /** No expectation about the order of reads. */
    public static final int MADV_NORMAL = 0;

    /** Reads are expected in random order, so reading ahead is not useful. */
    public static final int MADV_RANDOM = 1;

    /** Reads are expected in sequential order. */
    public static final int MADV_SEQUENTIAL = 2;

    /** Frees the pages; the next access finds zeros. */
    public static final int MADV_DONTNEED = 4;

    /** The range may be scanned and merged by {@code ksmd}. */
    public static final int MADV_MERGEABLE = 12;

    /** Unmerges the pages of the range and stops scanning it. */
    public static final int MADV_UNMERGEABLE = 13;

    /** Enables transparent huge pages for the range. */
    public static final int MADV_HUGEPAGE = 14;

    /** Disables transparent huge pages for the range. */
    public static final int MADV_NOHUGEPAGE = 15;

    /** Populates the pages as if each was written, so that none faults later; since Linux 5.14. */
    public static final int MADV_POPULATE_WRITE = 23;

    /** Like {@link #MADV_DONTNEED}, for locked pages too; since Linux 5.18. */
    public static final int MADV_DONTNEED_LOCKED = 24;

    /** Sets whether all memory of the process is mergeable; since Linux 6.4. */
    public static final int PR_SET_MEMORY_MERGE = 67;

    /** Gets whether all memory of the process is mergeable; since Linux 6.4. */
    public static final int PR_GET_MEMORY_MERGE = 68;

    /** Sets an attribute of mappings; since Linux 5.17. */
    public static final int PR_SET_VMA = 0x53564d41;

    /** The attribute of {@link #PR_SET_VMA} that names an anonymous mapping. */
    public static final int PR_SET_VMA_ANON_NAME = 0;

    /** {@code pidfd_open(2)}; the same number on all architectures listed above. */
    public static final int SYS_PIDFD_OPEN = 434;

    /** {@code process_madvise(2)}; the same number on all architectures listed above. */
    public static final int SYS_PROCESS_MADVISE = 440;

    /** Stands for the calling process in place of a pidfd; since Linux 6.14. */
    public static final int PIDFD_SELF = -10000;

    /** The maximum number of ranges for one {@code process_madvise}: the kernel's {@code UIO_MAXIOV}. */
    public static final int IOV_MAX = 1024;

    public static final int EPERM = 1;
    public static final int EBADF = 9;
    public static final int EAGAIN = 11;
    public static final int ENOMEM = 12;
    public static final int EACCES = 13;
    public static final int EINVAL = 22;
    public static final int ENOSYS = 38;

    /** The highest errno: results from -4095 to -1 are errors, and no others. */
    public static final int MAX_ERRNO = 4095;

    private Linux() {}

    public static boolean failed(long result) {
        return result < 0 && result >= -MAX_ERRNO;
    }

    public static String errnoName(int errno) {
        return switch (errno) {
            case EPERM -> "EPERM";
            case 4 -> "EINTR";
            case 5 -> "EIO";
            case EBADF -> "EBADF";
            case EAGAIN -> "EAGAIN";
            case ENOMEM -> "ENOMEM";
            case EACCES -> "EACCES";
            case 14 -> "EFAULT";
            case 16 -> "EBUSY";
            case EINVAL -> "EINVAL";
            case ENOSYS -> "ENOSYS";
            default -> "errno " + errno;
        };
    }
}
