// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

/**
 * Thrown when an address range cannot belong to this process: it wraps around, reaches into the kernel's half of the
 * address space, does not start on a page boundary, or contains no whole page.
 *
 * @since 0.1.0
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
