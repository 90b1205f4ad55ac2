package io.ksm4j.stats;

import java.time.Duration;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * What {@code ksmd} did between two readings, see {@link KsmStats#since}. A count is absent if either reading lacks its file,
 * and if the file's number became smaller. The constructor checks nothing.
 *
 * @param duration the time between the two readings
 * @param pagesScanned pages that {@code ksmd} has looked at ({@code pages_scanned}, since Linux 6.6)
 * @param pagesSkipped pages it passed over, because they did not merge before ({@code pages_skipped}, since Linux 6.7)
 * @param fullScans how often it came to the end of all mergeable memory ({@code full_scans})
 * @param copiesOnWrite merged pages that were written to, and so became private again ({@code cow_ksm} of {@code
 *     /proc/vmstat}, since Linux 5.19)
 * @param rmapItems pages that {@code ksmd} knew at the later reading ({@link KsmStats#rmapItems})
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
     * The rate of the scan: {@link #pagesScanned} by {@link #duration}.
     *
     * @return pages a second; absent if the pages are, and after no time at all
     */
    public OptionalDouble pagesPerSecond() {
        return pagesScanned.isEmpty() || duration.isZero()
                ? OptionalDouble.empty()
                : OptionalDouble.of(pagesScanned.getAsLong() / seconds());
    }

    /**
     * How long {@code ksmd} takes for all mergeable memory. If it came to the end in this time, {@link #duration} by {@link
     * #fullScans}; else the time that {@link #rmapItems} take at the rate seen, at which pages scanned and pages skipped both
     * count. Pages that it has not met yet are not in it.
     *
     * @return the time; absent if {@code ksmd} stood still, if a number that is needed is absent, and if it would not fit a
     *     {@code long} of nanoseconds, which is 292 years
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
