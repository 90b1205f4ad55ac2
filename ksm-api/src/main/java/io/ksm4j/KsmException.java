// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Thrown when a system call failed or could not be made. The message says which call, on which range, why, and what to
 * do about it. Subclasses distinguish the causes; this class itself stands for an errno that none of them covers.
 *
 * @since 0.1.0
 */
public class KsmException extends RuntimeException {

    private static final long serialVersionUID = 1;

    /** The call that failed; null if there was none. */
    private final @Nullable FailedCall failedCall;

    /**
     * Creates an exception that is not about a system call made by ksm4j. For other modules.
     *
     * @param message what failed, why, and what to do about it
     */
    protected KsmException(String message) {
        super(message);
        this.failedCall = null;
    }

    KsmException(FailedCall failedCall, String explanation) {
        super(failedCall + ": " + explanation);
        this.failedCall = failedCall;
    }

    /**
     * Returns the system call that failed.
     *
     * @return the call; empty if no system call failed
     */
    public final Optional<FailedCall> failedCall() {
        return Optional.ofNullable(failedCall);
    }

    /**
     * Returns whether the same operation may succeed if it is repeated a little later.
     *
     * @return false, unless a subclass says otherwise
     */
    public boolean mayRetry() {
        return false;
    }
}
