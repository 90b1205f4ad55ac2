// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import java.time.Duration;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * What {@code ksmd} did between two readings; see {@link KsmStats#since}. A count is absent if one of the readings
 * lacks its file, or if the counter decreased. The constructor does not validate its arguments.
 *
 * @param duration the time between the two readings
 * @param pagesScanned the number of pages {@code ksmd} scanned ({@code pages_scanned}, since Linux 6.6)
 * @param pagesSkipped the number of pages it skipped because they did not merge before ({@code pages_skipped}, since
 *     Linux 6.7)
 * @param fullScans the number of scans of all mergeable memory it completed ({@code full_scans})
 * @param copiesOnWrite the number of merged pages that were written to and therefore became private again
 *     ({@code cow_ksm} in {@code /proc/vmstat}, since Linux 5.19)
 * @param rmapItems the number of pages {@code ksmd} kept a record of at the later reading ({@link KsmStats#rmapItems})
 * @since 0.1.0
 */
public record KsmActivity(
        Duration duration,
        OptionalLong pagesScanned,
        OptionalLong pagesSkipped,
        OptionalLong fullScans,
        OptionalLong copiesOnWrite,
        OptionalLong rmapItems) {

    private static final double NANOS_PER_SECOND = 1e9;

    /**
     * Returns the scan rate: {@link #pagesScanned} divided by {@link #duration}.
     *
     * @return pages per second; absent if {@link #pagesScanned} is, or if the duration is 0
     */
    public OptionalDouble pagesPerSecond() {
        return pagesScanned.isEmpty() || duration.isZero()
                ? OptionalDouble.empty()
                : OptionalDouble.of(pagesScanned.getAsLong() / seconds());
    }

    /**
     * Returns how long {@code ksmd} takes to scan all mergeable memory.
     *
     * <p>If it completed a full scan between the readings, this is {@link #duration} divided by {@link #fullScans}.
     * Otherwise it is extrapolated: the time for {@link #rmapItems} pages at the observed rate of scanned and skipped
     * pages. Pages that {@code ksmd} has not encountered yet are not included.
     *
     * @return the time; absent if {@code ksmd} scanned nothing, if a required value is absent, or if the result exceeds
     *     292 years, the maximum for a {@code long} number of nanoseconds
     */
    public Optional<Duration> fullScanTime() {
        if (fullScans.orElse(0) > 0) {
            return Optional.of(duration.dividedBy(fullScans.getAsLong()));
        }
        if (pagesScanned.isEmpty() || rmapItems.isEmpty() || duration.isZero()) {
            return Optional.empty();
        }
        double passed = (double) pagesScanned.getAsLong() + pagesSkipped.orElse(0);
        double nanos = rmapItems.getAsLong() / (passed / seconds()) * NANOS_PER_SECOND;
        return passed > 0 && nanos < Long.MAX_VALUE ? Optional.of(Duration.ofNanos((long) nanos)) : Optional.empty();
    }

    private double seconds() {
        return duration.getSeconds() + duration.getNano() / NANOS_PER_SECOND;
    }
}
