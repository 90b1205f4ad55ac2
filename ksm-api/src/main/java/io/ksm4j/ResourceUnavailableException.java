package io.ksm4j;

/**
 * The kernel was short of memory for the moment. ksm4j has already tried a few times with growing pauses; trying again later
 * may succeed. What exceeds a limit for good is a {@link MemoryLimitExceededException}.
 */
public final class ResourceUnavailableException extends KsmException {

    private static final long serialVersionUID = 1;

    ResourceUnavailableException(FailedCall failedCall, String explanation) {
        super(failedCall, explanation);
    }

    @Override
    public boolean mayRetry() {
        return true;
    }
}
