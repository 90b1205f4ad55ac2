package io.ksm4j.internal;

import java.lang.ref.Cleaner;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/** A cleaner whose thread is started at the first use, and, if that fails, at a later one. */
public final class LateCleaner {

    private final AtomicReference<@Nullable Cleaner> started = new AtomicReference<>();

    /** Creates it without its thread. */
    public LateCleaner() {}

    /**
     * Starts the thread if there is none.
     *
     * @return always the same cleaner
     */
    public Cleaner get() {
        Cleaner cleaner = started.get();
        if (cleaner == null) {
            // The thread of one that is not kept ends by itself.
            started.compareAndSet(null, Cleaner.create());
            cleaner = started.get();
        }
        return Objects.requireNonNull(cleaner);
    }
}
