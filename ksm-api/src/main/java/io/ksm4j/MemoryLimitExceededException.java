// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

/**
 * Thrown when a call needs more memory than a limit of the process or of the machine allows. Retrying does not help:
 * allocate less, or change the limit as the message says.
 *
 * @since 0.1.0
 */
public final class MemoryLimitExceededException extends KsmException {

    private static final long serialVersionUID = 1;

    /** The name of the limit. */
    private final String limitedBy;

    /** The value of the limit. */
    private final long limitBytes;

    MemoryLimitExceededException(FailedCall failedCall, String limitedBy, long limitBytes, String explanation) {
        super(failedCall, explanation);
        this.limitedBy = limitedBy;
        this.limitBytes = limitBytes;
    }

    /**
     * Returns the name of the limit.
     *
     * @return {@code RLIMIT_AS}, {@code RLIMIT_DATA} or {@code RLIMIT_MEMLOCK} (getrlimit(2));
     *     {@code vm.overcommit_memory}; or {@code address space}, if no gap in the process's address space is large
     *     enough
     */
    public String limitedBy() {
        return limitedBy;
    }

    /**
     * Returns the value of the limit.
     *
     * @return bytes. For a resource limit, the maximum for all memory of that kind in the process; for
     *     {@code vm.overcommit_memory}, the maximum for one allocation if it is 0, and for all processes if it is 2;
     *     for the address space, the largest gap
     */
    public long limitBytes() {
        return limitBytes;
    }
}
