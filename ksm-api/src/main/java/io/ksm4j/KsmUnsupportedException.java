package io.ksm4j;

/**
 * Merging cannot be had here: not Linux, a kernel without KSM or too old for the call, a filter that forbids the call, or no
 * usable backend. Trying again does not help; {@link Ksm#support()} lists what is in the way.
 */
public final class KsmUnsupportedException extends KsmException {

    private static final long serialVersionUID = 1;

    KsmUnsupportedException(String message) {
        super(message);
    }

    KsmUnsupportedException(FailedCall failedCall, String explanation) {
        super(failedCall, explanation);
    }
}
