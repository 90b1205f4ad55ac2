package io.ksm4j.internal;

import java.lang.System.Logger.Level;
import org.jspecify.annotations.Nullable;

/** The log of ksm4j. What a program's log handlers throw is dropped: nothing that ksm4j does depends on its being told. */
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
            // Looked up here: creating the first logger takes longer than marking a region.
            System.getLogger("io.ksm4j").log(level, message, cause);
        } catch (Throwable fromHandlers) {
            // There is nowhere left to report this.
        }
    }
}
