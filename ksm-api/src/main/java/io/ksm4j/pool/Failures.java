package io.ksm4j.pool;

import org.jspecify.annotations.Nullable;

/** Closing after a failure, or although closing something else has failed. */
final class Failures {

    private Failures() {}

    /**
     * Closes something, whatever that throws.
     *
     * @param first what was thrown before, or null
     * @return what is to be thrown, or null: the first of all failures, with the others suppressed in it
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
                // Without heap there is no room for a list, and the JVM throws the same object again.
            }
            return first;
        }
    }
}
