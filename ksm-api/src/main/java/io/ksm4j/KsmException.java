package io.ksm4j;

import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A system call failed, or could not be made. The message says which, for what range, why, and what to do about it.
 * Subclasses tell the causes apart; this class itself stands for an errno that none of them explains.
 */
public class KsmException extends RuntimeException {

    private static final long serialVersionUID = 1;

    /** The call that failed. */
    private final @Nullable FailedCall failedCall;

    /**
     * For exceptions of other modules, without a system call of ksm4j's own.
     *
     * @param message what failed, why, and what to do
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
     * The system call that failed.
     *
     * @return the call; empty if the failure was seen without one
     */
    public final Optional<FailedCall> failedCall() {
        return Optional.ofNullable(failedCall);
    }

    /**
     * Whether the same call may succeed when it is made again a little later.
     *
     * @return false, unless a subclass says otherwise
     */
    public boolean mayRetry() {
        return false;
    }
}
