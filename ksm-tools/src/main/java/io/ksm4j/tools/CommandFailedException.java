package io.ksm4j.tools;

/** Ends the command with {@link ExitStatus#FAILURE} and one line on standard error. */
final class CommandFailedException extends RuntimeException {

    private static final long serialVersionUID = 1;

    /** The message says what failed, and after a colon what to do. */
    CommandFailedException(String message) {
        super(message);
    }

    CommandFailedException(String message, Throwable cause) {
        super(message, cause);
    }
}
