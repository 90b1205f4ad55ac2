// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.output;

/**
 * The reader of standard output has closed the pipe. A C program would get {@code SIGPIPE}; Java programs get this.
 */
public final class ClosedPipeException extends RuntimeException {

    private static final long serialVersionUID = 1;

    ClosedPipeException(Throwable cause) {
        super("standard output is closed", cause);
    }
}
