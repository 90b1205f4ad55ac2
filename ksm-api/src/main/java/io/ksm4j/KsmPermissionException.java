// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

/**
 * Thrown when the process has no permission, or a security policy (seccomp, SELinux, AppArmor) forbids the operation.
 * Marking memory needs no privilege on an ordinary kernel.
 *
 * @since 0.1.0
 */
public final class KsmPermissionException extends KsmException {

    private static final long serialVersionUID = 1;

    /**
     * Creates an exception for a file that the process may not write. For other modules.
     *
     * @param message what is not permitted, and who has the permission
     */
    public KsmPermissionException(String message) {
        super(message);
    }

    KsmPermissionException(FailedCall failedCall, String explanation) {
        super(failedCall, explanation);
    }
}
