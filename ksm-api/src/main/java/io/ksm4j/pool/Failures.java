// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import org.jspecify.annotations.Nullable;

/** Closes resources after a failure, or even if closing another one has failed. */
final class Failures {

    private Failures() {}

    /**
     * Closes a resource and catches what that throws.
     *
     * @param first the failure so far, or null
     * @return the failure to throw, or null: the first of all failures, with the others suppressed in it
     */
    static @Nullable Throwable close(AutoCloseable closed, @Nullable Throwable first) {
        try {
            closed.close();
            return first;
        } catch (Throwable t) {
            if (first == null) {
                return t;
            }
            try {
                first.addSuppressed(t);
            } catch (IllegalArgumentException | OutOfMemoryError | StackOverflowError e) {
                // Without heap memory the list of suppressed exceptions cannot be created, or the JVM has thrown the
                // same preallocated error again.
            }
            return first;
        }
    }
}
