// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import io.ksm4j.benchmarks.cache.SoakValues.WrongValueException;

/**
 * The versions that may be read of one key. One thread changes the key, and each change, a store or a deletion, is a
 * version. A reader must not see a version older than the last change that was answered, newer than the last one sent,
 * or expired. A missing value is never an error, because it may have been evicted.
 */
final class SoakKey {

    /** Nanoseconds by which deadlines may differ, because the server counts in milliseconds. */
    private static final long TOLERANCE_NANOS = 5_000_000;

    private long sent;
    private long lastAnswered;

    /** The latest time at which the version that was answered last expires. */
    private long deadline;

    private boolean expires;

    /** Returns the version of the change that will be sent now. */
    synchronized long send() {
        return ++sent;
    }

    /** Records that the server has made a change, so that older versions are gone. */
    synchronized void answered(long version) {
        lastAnswered = version;
        expires = false;
    }

    /** Records that a new deadline will be sent now: until the answer, the old one may or may not hold. */
    synchronized void sendDeadline() {
        expires = false;
    }

    /** Records the time to live of this version, whose store or new deadline was just answered. */
    synchronized void expiresIn(long millis) {
        deadline = System.nanoTime() + millis * 1_000_000 + TOLERANCE_NANOS;
        expires = true;
    }

    /** Returns the oldest version that a read sent from now on may see. */
    synchronized long oldest() {
        return expires && System.nanoTime() > deadline ? lastAnswered + 1 : lastAnswered;
    }

    /** Checks a version that was read between a call of {@link #oldest} and now. */
    synchronized void check(long oldest, long version) {
        if (version < oldest || version > sent) {
            throw new WrongValueException(
                    "version " + version + " was read, but only " + oldest + " to " + sent + " are possible");
        }
    }
}
