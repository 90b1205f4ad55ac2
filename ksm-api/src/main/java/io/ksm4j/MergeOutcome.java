package io.ksm4j;

import io.ksm4j.stats.RegionStats;
import java.time.Duration;
import java.util.OptionalLong;

/**
 * How waiting for regions to merge ended.
 *
 * @param end why it ended
 * @param stats what the regions, taken together, occupied and saved at the end
 * @param fullScans how many scans {@code ksmd} has finished meanwhile; empty if {@code /sys/kernel/mm/ksm} cannot be read
 * @param waited how long it took
 */
public record MergeOutcome(End end, RegionStats stats, OptionalLong fullScans, Duration waited) {

    /** Why waiting ended. */
    public enum End {
        /** The share that was asked for is merged. */
        REACHED,
        /**
         * {@code ksmd} has been through all memory often enough to have merged what can be, and has not merged more of it: the
         * pages are unique, keep changing, or lie in huge pages.
         */
        SETTLED,
        /** {@code ksmd} does not run, so that nothing more can come. */
        KSMD_STOPPED,
        /** The kernel has marked nothing of the regions, so that nothing can come. That is so of fallback regions. */
        NOT_MARKED,
        /** The time was up, and more might have come. */
        TIMED_OUT
    }

    /**
     * Whether the share that was asked for is merged.
     *
     * @return true if {@link #end} is {@link End#REACHED}
     */
    public boolean isReached() {
        return end == End.REACHED;
    }
}
