package io.ksm4j;

/**
 * The process has no right to do this, or a security policy (seccomp, SELinux, AppArmor) forbids it. Marking memory needs no
 * privilege on an ordinary kernel.
 */
public final class KsmPermissionException extends KsmException {

    private static final long serialVersionUID = 1;

    /**
     * For other modules, where a file may not be written.
     *
     * @param message what may not be done, and who may
     */
    public KsmPermissionException(String message) {
        super(message);
    }

    KsmPermissionException(FailedCall failedCall, String explanation) {
        super(failedCall, explanation);
    }
}
