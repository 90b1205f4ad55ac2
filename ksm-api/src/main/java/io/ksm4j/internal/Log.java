// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal;

import java.lang.System.Logger.Level;
import org.jspecify.annotations.Nullable;

/**
 * The logger of ksm4j. Exceptions thrown by a program's log handlers are ignored, because no operation of ksm4j may
 * fail just because it cannot log.
 */
public final class Log {

    private Log() {}

    public static void warning(String message, @Nullable Throwable cause) {
        log(Level.WARNING, message, cause);
    }

    public static void debug(String message, @Nullable Throwable cause) {
        log(Level.DEBUG, message, cause);
    }

    private static void log(Level level, String message, @Nullable Throwable cause) {
        try {
            // Looked up lazily: creating the first logger costs more than marking a region.
            System.getLogger("io.ksm4j").log(level, message, cause);
        } catch (Throwable fromHandlers) {
            // There is nowhere else to report this.
        }
    }
}
