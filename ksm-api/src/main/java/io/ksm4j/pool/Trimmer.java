// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.internal.linux.MemoryLeft;
import java.lang.ref.WeakReference;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Gives retained pages back to the kernel in a thread of its own: what exceeds the maximum, and all of them once the
 * process could use less memory than they occupy. The thread ends when no page is retained, and does not keep the pool
 * reachable.
 */
final class Trimmer {

    private static final long PAUSE_NANOS = TimeUnit.SECONDS.toNanos(1);

    private final WeakReference<Pages> store;
    private final AtomicBoolean isRunning = new AtomicBoolean();
    private volatile @Nullable Thread thread;

    Trimmer(Pages store) {
        this.store = new WeakReference<>(store);
    }

    /** Called when pages are retained. Cannot fail. */
    void startIfNecessary() {
        if (!isRunning.get()) {
            start();
        }
    }

    /** Called when a region retains more than the maximum. Cannot fail: without a thread, the caller trims. */
    void start() {
        if (!isRunning.compareAndSet(false, true)) {
            LockSupport.unpark(thread);
            return;
        }
        try {
            // Without the caller's inheritable thread-locals, which may be those of a request.
            Thread started = new Thread(null, this::run, "ksm4j-pool-trimmer", 0, false);
            started.setDaemon(true);
            started.setContextClassLoader(ClassLoader.getSystemClassLoader());
            thread = started;
            started.start();
        } catch (Throwable noThread) {
            isRunning.set(false);
            trimWithoutThread();
        }
    }

    private void trimWithoutThread() {
        try {
            Pages trimmed = store.get();
            if (trimmed != null) {
                trimmed.trimToHalf();
            }
        } catch (Error noStack) {
            // The next call tries again.
        }
    }

    private void run() {
        do {
            try {
                while (trimOnce()) {
                    LockSupport.parkNanos(PAUSE_NANOS);
                }
            } finally {
                isRunning.set(false);
            }
            // A call of start() since the last look has only woken up this thread.
        } while (retainsTooMuch() && isRunning.compareAndSet(false, true));
    }

    private boolean retainsTooMuch() {
        Pages trimmed = store.get();
        return trimmed != null && trimmed.isOpen() && trimmed.retainsTooMuch();
    }

    /** Returns whether pages are retained. */
    private boolean trimOnce() {
        Pages trimmed = store.get();
        if (trimmed == null || !trimmed.isOpen()) {
            return false;
        }
        trimmed.trimToHalf();
        long retained = trimmed.retainedBytes();
        if (retained > 0 && new MemoryLeft(Path.of("/")).read().bytes() < retained) {
            trimmed.trim();
            return false;
        }
        return retained > 0;
    }
}
