// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.linux.Linux;
import java.io.Serializable;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The system call that caused a {@link KsmException}. Immutable.
 *
 * @since 0.1.0
 */
public final class FailedCall implements Serializable {

    private static final long serialVersionUID = 1;

    /** The kinds of calls, as far as their causes of failure differ. */
    enum Kind {
        MMAP,
        MUNMAP,
        MPROTECT,
        MARK,
        UNMARK,
        OTHER_ADVICE,
        PRCTL
    }

    /** The kind of the call. */
    private final Kind kind;

    /** The C function with its main argument. */
    private final String name;

    /** The range that was passed. */
    private final @Nullable AddressRange range;

    /** The length that was passed, in bytes. */
    private final long length;

    /** The error number. */
    private final int errno;

    private FailedCall(Kind kind, String name, @Nullable AddressRange range, long length, int errno) {
        this.kind = kind;
        this.name = name;
        this.range = range;
        this.length = length;
        this.errno = errno;
    }

    private static FailedCall ofRange(Kind kind, String name, AddressRange range, int errno) {
        return new FailedCall(kind, name, range, range.length(), errno);
    }

    static FailedCall mmap(long length, int errno) {
        return new FailedCall(Kind.MMAP, "mmap of " + length + " bytes", null, length, errno);
    }

    static FailedCall munmap(AddressRange range, int errno) {
        return ofRange(Kind.MUNMAP, "munmap", range, errno);
    }

    static FailedCall mprotect(AddressRange range, int errno) {
        return ofRange(Kind.MPROTECT, "mprotect", range, errno);
    }

    static FailedCall madvise(int advice, AddressRange range, int errno) {
        Kind kind = switch (advice) {
            case Linux.MADV_MERGEABLE -> Kind.MARK;
            case Linux.MADV_UNMERGEABLE -> Kind.UNMARK;
            default -> Kind.OTHER_ADVICE;
        };
        return ofRange(kind, "madvise(" + adviceName(advice) + ")", range, errno);
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

    static FailedCall prctl(String option, int errno) {
        return new FailedCall(Kind.PRCTL, "prctl(" + option + ")", null, 0, errno);
    }

    Kind kind() {
        return kind;
    }

    /**
     * Returns the name of the C function with its main argument.
     *
     * @return for example {@code madvise(MADV_MERGEABLE)} or {@code mmap of 4096 bytes}
     */
    public String name() {
        return name;
    }

    /**
     * Returns the address range that was passed to the call.
     *
     * @return the range; empty for {@code prctl}, which takes none, and for {@code mmap}, which had no address yet
     */
    public Optional<AddressRange> range() {
        return Optional.ofNullable(range);
    }

    @Nullable
    AddressRange rangeOrNull() {
        return range;
    }

    /**
     * {@return the length of the range or, for {@code mmap}, of the requested mapping, in bytes; 0 for {@code prctl}}
     */
    long length() {
        return length;
    }

    /**
     * Returns the error number that the kernel returned.
     *
     * @return a positive errno
     */
    public int errno() {
        return errno;
    }

    /**
     * Returns the name of the error number.
     *
     * @return for example {@code ENOMEM}; {@code errno 99} for a number that these calls do not normally return
     */
    public String errnoName() {
        return Linux.errnoName(errno);
    }

    /** Returns for example {@code madvise(MADV_MERGEABLE) of 7f00a000-7f00c000 (8 KiB) failed with ENOMEM}. */
    @Override
    public String toString() {
        return name + (range == null ? "" : " of " + range) + " failed with " + errnoName();
    }
}
