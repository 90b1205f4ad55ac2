package io.ksm4j;

/**
 * The address range cannot be one of this process: it wraps around, reaches into the kernel's half of the address space, does
 * not start on a page, or holds no whole page.
 */
public final class InvalidRangeException extends KsmException {

    private static final long serialVersionUID = 1;

    InvalidRangeException(String message) {
        super(message);
    }

    InvalidRangeException(FailedCall failedCall, String explanation) {
        super(failedCall, explanation);
    }
}
