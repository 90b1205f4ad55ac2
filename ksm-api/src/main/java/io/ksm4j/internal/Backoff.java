package io.ksm4j.internal;

import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Waits by looking again and again, at first without a pause, then with longer and longer ones. A thread that waits this way stands in no
 * queue: it needs no memory to begin, no other thread to wake it, and when it fails, for want of memory or stack, it leaves nothing behind
 * that others wait for. Interrupting the thread does not end its wait; it is interrupted again at the {@link #end()}.
 */
public final class Backoff {

    private static final int SPINS = 256;
    private static final long LEAST_PAUSE_NANOS = 20_000;

    /** For what lasts as long as a call of the kernel. */
    private static final long MOST_PAUSE_NANOS = 2_000_000;

    /** For locks that others take and release all the time: they are free between two of them only. */
    private static final long MOST_PAUSE_FOR_LOCK_NANOS = 100_000;

    private final long mostPauseNanos;
    private int spins;
    private long pauseNanos = LEAST_PAUSE_NANOS;
    private boolean interrupted;

    public Backoff() {
        this(MOST_PAUSE_NANOS);
    }

    private Backoff(long mostPauseNanos) {
        this.mostPauseNanos = mostPauseNanos;
    }

    /** Takes a lock that is held by somebody else for as short or as long as may be. */
    public static void lock(ReentrantLock lock) {
        StackRoom.requireForLock();
        if (lock.tryLock()) {
            return;
        }
        Backoff backoff = new Backoff(MOST_PAUSE_FOR_LOCK_NANOS);
        try {
            while (!lock.tryLock()) {
                backoff.pause();
            }
        } finally {
            backoff.end();
        }
    }

    public void pause() {
        if (spins < SPINS) {
            spins++;
            Thread.onSpinWait();
            return;
        }
        // The flag would end every pause at once.
        interrupted |= Thread.interrupted();
        LockSupport.parkNanos(pauseNanos);
        pauseNanos = Math.min(2 * pauseNanos, mostPauseNanos);
    }

    public void end() {
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
