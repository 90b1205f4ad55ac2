// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal;

import java.lang.ref.Cleaner;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/** A cleaner whose thread is started on first use or, if that fails, on a later one. */
public final class LateCleaner {

    private final AtomicReference<@Nullable Cleaner> started = new AtomicReference<>();

    /** Creates the cleaner without starting its thread. */
    public LateCleaner() {}

    /**
     * Returns the cleaner, starting its thread if necessary.
     *
     * @return the same cleaner on every call
     */
    public Cleaner get() {
        Cleaner cleaner = started.get();
        if (cleaner == null) {
            // If another thread was faster, the thread of this cleaner ends by itself.
            started.compareAndSet(null, Cleaner.create());
            cleaner = started.get();
        }
        return Objects.requireNonNull(cleaner);
    }
}
