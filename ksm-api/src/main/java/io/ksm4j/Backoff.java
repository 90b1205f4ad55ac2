package io.ksm4j;

import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Waits by looking again and again, at first without a pause, then with longer and longer ones. A thread that waits this way stands in no
 * queue: it needs no memory to begin, no other thread to wake it, and when it fails, for want of memory or stack, it leaves nothing behind
 * that others wait for. Interrupting the thread does not end its wait; it is interrupted again at the {@link #end()}.
 */
final class Backoff {

    private static final int SPINS = 256;
    private static final long LEAST_PAUSE_NANOS = 20_000;
    private static final long MOST_PAUSE_NANOS = 2_000_000;

    private int spins;
    private long pauseNanos = LEAST_PAUSE_NANOS;
    private boolean interrupted;

    /** Takes a lock that is held by somebody else for as short or as long as may be. */
    static void lock(ReentrantLock lock) {
        if (lock.tryLock()) {
            return;
        }
        Backoff backoff = new Backoff();
        try {
            while (!lock.tryLock()) {
                backoff.pause();
            }
        } finally {
            backoff.end();
        }
    }

    void pause() {
        if (spins < SPINS) {
            spins++;
            Thread.onSpinWait();
            return;
        }
        // The flag would end every pause at once.
        interrupted |= Thread.interrupted();
        LockSupport.parkNanos(pauseNanos);
        pauseNanos = Math.min(2 * pauseNanos, MOST_PAUSE_NANOS);
    }

    void end() {
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
