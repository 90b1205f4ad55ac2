// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.stats.RegionStats;
import java.time.Duration;
import java.util.OptionalLong;

/**
 * The result of waiting for regions to merge. See {@link Ksm#awaitMerged}.
 *
 * @param end why waiting ended
 * @param stats what the regions, taken together, occupied and saved at the end
 * @param fullScans the number of full scans {@code ksmd} completed during the wait; empty if {@code /sys/kernel/mm/ksm}
 *     cannot be read
 * @param waited how long the wait took
 * @since 0.1.0
 */
public record MergeOutcome(End end, RegionStats stats, OptionalLong fullScans, Duration waited) {

    /**
     * Why waiting ended.
     *
     * @since 0.1.0
     */
    public enum End {
        /** The requested share is merged. */
        REACHED,
        /**
         * {@code ksmd} has scanned all memory often enough to merge what it can, and has merged no more of it: the
         * remaining pages are unique, keep changing, or are in huge pages.
         */
        SETTLED,
        /** {@code ksmd} is stopped, so no more pages will merge. */
        KSMD_STOPPED,
        /**
         * The kernel has marked none of the regions' memory, so nothing will merge. This is always so for fallback
         * regions.
         */
        NOT_MARKED,
        /** The timeout was reached while more pages might still have merged. */
        TIMED_OUT
    }

    /** {@return whether the requested share is merged: {@link #end} is {@link End#REACHED}} */
    public boolean isReached() {
        return end == End.REACHED;
    }
}
