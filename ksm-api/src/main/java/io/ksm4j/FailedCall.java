package io.ksm4j;

import io.ksm4j.internal.linux.Linux;
import java.io.Serializable;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The system call behind a {@link KsmException}. */
public final class FailedCall implements Serializable {

    private static final long serialVersionUID = 1;

    /** The C function and what it was asked for. */
    private final String name;

    /** The range it was called for. */
    private final @Nullable AddressRange range;

    /** The error number. */
    private final int errno;

    FailedCall(String name, @Nullable AddressRange range, int errno) {
        this.name = name;
        this.range = range;
        this.errno = errno;
    }

    /**
     * The C function and what it was asked for.
     *
     * @return for example {@code madvise(MADV_MERGEABLE)}
     */
    public String name() {
        return name;
    }

    /**
     * The range it was called for.
     *
     * @return the range; empty for calls that take none, and for {@code mmap}, which had none yet
     */
    public Optional<AddressRange> range() {
        return Optional.ofNullable(range);
    }

    @Nullable
    AddressRange rangeOrNull() {
        return range;
    }

    /**
     * The error number the kernel answered with.
     *
     * @return a positive errno
     */
    public int errno() {
        return errno;
    }

    /**
     * The error number's name.
     *
     * @return for example {@code ENOMEM}; {@code errno 99} for one that has no part in these calls
     */
    public String errnoName() {
        return Linux.errnoName(errno);
    }

    /** For example {@code madvise(MADV_MERGEABLE) of 7f00a000-7f00c000 (8 KiB) failed with ENOMEM}. */
    @Override
    public String toString() {
        return name + (range == null ? "" : " of " + range) + " failed with " + errnoName();
    }
}
