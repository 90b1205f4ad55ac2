package io.ksm4j.benchmarks;

import io.ksm4j.benchmarks.SoakValues.WrongValueException;

/**
 * What may be read of one key, which one thread changes. Each change is a version: a store, or a deletion. Nothing older than the last
 * change that was answered may be seen, nothing newer than the last one sent, and nothing whose time is over. That a value is gone is never wrong: it
 * may have been evicted.
 */
final class SoakKey {

    /** In nanoseconds of {@link System#nanoTime}; the server counts in milliseconds. */
    private static final long ROUNDING = 5_000_000;

    private long sent;
    private long answered;

    /** Of the version that was answered last: when it was over at the latest. */
    private long deadline;

    private boolean expires;

    /** The version of a change that will be sent now. */
    synchronized long send() {
        return ++sent;
    }

    /** The server has made the change: what was there before is gone. */
    synchronized void made(long version) {
        answered = version;
        expires = false;
    }

    /** The server gives this version, whose store or new deadline was just answered, so long. */
    synchronized void expiresIn(long millis) {
        deadline = System.nanoTime() + millis * 1_000_000 + ROUNDING;
        expires = true;
    }

    /** The oldest version that may be seen by who asks from now on. */
    synchronized long oldest() {
        return expires && System.nanoTime() > deadline ? answered + 1 : answered;
    }

    /** Judges what was read between a call of {@link #oldest} and now. */
    synchronized void check(long oldest, long version) {
        if (version < oldest || version > sent) {
            throw new WrongValueException(
                    "version " + version + " was read, where only " + oldest + " to " + sent + " can be");
        }
    }
}
