// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

/**
 * Thrown when the kernel is temporarily short of memory. ksm4j has already retried a few times with growing pauses; a
 * later attempt may succeed. A permanent limit is reported as {@link MemoryLimitExceededException}.
 *
 * @since 0.1.0
 */
public final class ResourceUnavailableException extends KsmException {

    private static final long serialVersionUID = 1;

    ResourceUnavailableException(FailedCall failedCall, String explanation) {
        super(failedCall, explanation);
    }

    /** {@return true} */
    @Override
    public boolean mayRetry() {
        return true;
    }
}
