// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import java.time.Duration;

/**
 * When a {@link MergeGovernor} decides. Start from {@link #DEFAULT} and change individual options.
 *
 * @param fullScans how many full scans of {@code ksmd} a part of a region stays marked before it is judged, at least 2:
 *     {@code ksmd} merges a page in the second scan after it was written, at the earliest
 * @param interval how often to look whether parts are due; 0 if only {@link MergeGovernor#check()} does. Looking reads
 *     one number from the kernel unless parts are due
 * @since 0.1.0
 */
public record GovernorOptions(int fullScans, Duration interval) {

    /** The default options: parts are judged after 8 full scans, and the governor looks every 10 seconds. */
    public static final GovernorOptions DEFAULT = new GovernorOptions(8, Duration.ofSeconds(10));

    private static final int MIN_FULL_SCANS = 2;
    private static final int MAX_FULL_SCANS = 1_000_000;

    /**
     * Creates options.
     *
     * @throws IllegalArgumentException if {@code fullScans} is not between 2 and 1,000,000, or the interval is negative
     */
    public GovernorOptions {
        if (fullScans < MIN_FULL_SCANS || fullScans > MAX_FULL_SCANS) {
            throw new IllegalArgumentException("invalid fullScans " + fullScans + ": must be between " + MIN_FULL_SCANS
                    + " and " + MAX_FULL_SCANS);
        }
        if (interval.isNegative()) {
            throw new IllegalArgumentException("invalid interval " + interval + ": must not be negative");
        }
    }

    /**
     * Returns a copy with the given number of full scans.
     *
     * @param fullScans see {@link #fullScans()}
     * @return the copy
     * @throws IllegalArgumentException if it is not between 2 and 1,000,000
     */
    public GovernorOptions withFullScans(int fullScans) {
        return new GovernorOptions(fullScans, interval);
    }

    /**
     * Returns a copy with the given interval.
     *
     * @param interval see {@link #interval()}
     * @return the copy
     * @throws IllegalArgumentException if it is negative
     */
    public GovernorOptions withInterval(Duration interval) {
        return new GovernorOptions(fullScans, interval);
    }
}
