// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

/**
 * Thrown when this machine cannot merge memory: it does not run Linux, its kernel has no KSM or is too old for the
 * call, a filter forbids the call, or no backend works. Retrying does not help; {@link Ksm#support()} lists the
 * obstacles.
 *
 * @since 0.1.0
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
