// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal;

import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Waits by polling: first in a spin loop, then with pauses that grow exponentially.
 *
 * <p>A waiting thread is not in any queue. It needs no memory to start waiting and no other thread to wake it up, and
 * if it fails, for lack of memory or stack, it leaves nothing behind that other threads wait for. Interrupting the
 * thread does not end its wait; {@link #end()} restores its interrupted status.
 */
public final class Backoff {

    private static final int SPINS = 256;
    private static final long MIN_PAUSE_NANOS = 20_000;

    /** For waits that last as long as a system call. */
    private static final long MAX_PAUSE_NANOS = 2_000_000;

    /** For locks that other threads take and release all the time, and that are therefore free only briefly. */
    private static final long MAX_PAUSE_FOR_LOCK_NANOS = 100_000;

    private final long maxPauseNanos;
    private int spins;
    private long pauseNanos = MIN_PAUSE_NANOS;
    private boolean interrupted;

    public Backoff() {
        this(MAX_PAUSE_NANOS);
    }

    private Backoff(long maxPauseNanos) {
        this.maxPauseNanos = maxPauseNanos;
    }

    /** Takes a lock, waiting as long as another thread holds it. */
    public static void lock(ReentrantLock lock) {
        StackRoom.requireForLock();
        if (lock.tryLock()) {
            return;
        }
        Backoff backoff = new Backoff(MAX_PAUSE_FOR_LOCK_NANOS);
        try {
            while (!lock.tryLock()) {
                backoff.pause();
            }
        } finally {
            backoff.end();
        }
    }

    /**
     * Takes a lock that is held for a short time only, without yielding the processor. Allocates nothing, unlike
     * {@code lock.lock()} in a thread that has to wait, and never fails if the stack was checked before.
     */
    public static void spin(ReentrantLock lock) {
        while (!lock.tryLock()) {
            Thread.onSpinWait();
        }
    }

    /** Waits until the next attempt. */
    public void pause() {
        if (spins < SPINS) {
            spins++;
            Thread.onSpinWait();
            return;
        }
        // An interrupted status would end every pause immediately.
        interrupted |= Thread.interrupted();
        LockSupport.parkNanos(pauseNanos);
        pauseNanos = Math.min(2 * pauseNanos, maxPauseNanos);
    }

    /** Ends the wait, and restores the interrupted status of the thread. */
    public void end() {
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
