package io.ksm4j;

/**
 * The call asks for more memory than a limit of the process or of the machine allows. Trying again does not help: allocate less,
 * or change the limit, as the message says.
 */
public final class MemoryLimitExceededException extends KsmException {

    private static final long serialVersionUID = 1;

    /** What sets the limit. */
    private final String limitedBy;

    /** The limit. */
    private final long limitBytes;

    MemoryLimitExceededException(FailedCall failedCall, String limitedBy, long limitBytes, String explanation) {
        super(failedCall, explanation);
        this.limitedBy = limitedBy;
        this.limitBytes = limitBytes;
    }

    /**
     * What sets the limit.
     *
     * @return {@code RLIMIT_AS}, {@code RLIMIT_DATA} or {@code RLIMIT_MEMLOCK} (getrlimit(2)); {@code vm.overcommit_memory}; or
     *     {@code address space}, where no gap in that of the process is large enough
     */
    public String limitedBy() {
        return limitedBy;
    }

    /**
     * How much it allows.
     *
     * @return bytes: of a limit of the process, for all its memory of that kind; with {@code vm.overcommit_memory} at 0, for one
     *     allocation, and at 2, for all processes; of the address space, the largest gap
     */
    public long limitBytes() {
        return limitBytes;
    }
}
