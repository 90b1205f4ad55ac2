// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.output;

/** Ends the command with {@link ExitStatus#FAILURE} and a one-line message on standard error. */
public final class CommandFailedException extends RuntimeException {

    private static final long serialVersionUID = 1;

    /** The message says what failed and, after a colon, what to do. */
    public CommandFailedException(String message) {
        super(message);
    }

    public CommandFailedException(String message, Throwable cause) {
        super(message, cause);
    }
}
