package io.ksm4j.internal.linux;

/**
 * The numbers of Linux's system call interface that ksm4j passes. They are those of the generic interface, which x86-64,
 * aarch64, riscv64, ppc64le, s390x and loongarch64 share; glibc and musl agree on them.
 */
public final class Linux {

    /** Pages may be read. */
    public static final int PROT_READ = 1;

    /** Pages may be written. */
    public static final int PROT_WRITE = 2;

    /** Any access is a fault: what guard pages have. */
    public static final int PROT_NONE = 0;

    /** Writes stay in this process; only private pages can be merged. */
    public static final int MAP_PRIVATE = 0x02;

    /** Zeroed memory without a file. */
    public static final int MAP_ANONYMOUS = 0x20;

    /** Nothing is known about the order of reads. */
    public static final int MADV_NORMAL = 0;

    /** Reads will come in no order: reading ahead is no use. */
    public static final int MADV_RANDOM = 1;

    /** Reads will come in order. */
    public static final int MADV_SEQUENTIAL = 2;

    /** Gives the pages back; the next touch finds zeros. */
    public static final int MADV_DONTNEED = 4;

    /** The range may be scanned and merged by {@code ksmd}. */
    public static final int MADV_MERGEABLE = 12;

    /** Takes merged pages apart again and stops scanning the range. */
    public static final int MADV_UNMERGEABLE = 13;

    /** Transparent huge pages are welcome. */
    public static final int MADV_HUGEPAGE = 14;

    /** No transparent huge pages. */
    public static final int MADV_NOHUGEPAGE = 15;

    /** Writes every page once, so that none faults later; since Linux 5.14. */
    public static final int MADV_POPULATE_WRITE = 23;

    /** As {@link #MADV_DONTNEED}, for locked pages too; since Linux 5.18. */
    public static final int MADV_DONTNEED_LOCKED = 24;

    /** Sets whether all memory of the process may merge; since Linux 6.4. */
    public static final int PR_SET_MEMORY_MERGE = 67;

    /** Asks whether all memory of the process may merge; since Linux 6.4. */
    public static final int PR_GET_MEMORY_MERGE = 68;

    /** Sets an attribute of mappings; since Linux 5.17. */
    public static final int PR_SET_VMA = 0x53564d41;

    /** The attribute of {@link #PR_SET_VMA} that names an anonymous mapping. */
    public static final int PR_SET_VMA_ANON_NAME = 0;

    /** {@code pidfd_open(2)}; one number on every architecture named above. */
    public static final int SYS_PIDFD_OPEN = 434;

    /** {@code process_madvise(2)}; one number on every architecture named above. */
    public static final int SYS_PROCESS_MADVISE = 440;

    /** In place of a pidfd: the calling process; since Linux 6.14. */
    public static final int PIDFD_SELF = -10000;

    /** The most ranges that one {@code process_madvise} takes: the kernel's {@code UIO_MAXIOV}. */
    public static final int IOV_MAX = 1024;

    public static final int EPERM = 1;
    public static final int EBADF = 9;
    public static final int EAGAIN = 11;
    public static final int ENOMEM = 12;
    public static final int EACCES = 13;
    public static final int EINVAL = 22;
    public static final int ENOSYS = 38;

    /** The highest errno: a return value from -4095 to -1 is an error, any other is none. */
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
