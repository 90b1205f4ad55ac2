package io.ksm4j.control;

import java.time.Duration;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * What a {@link TuningPolicy} decides by. What this kernel does not tell, or a container hides, is absent, never 0. The constructor
 * checks nothing.
 *
 * @param time when it was made, since a time that observations of one tuner have in common; never goes back
 * @param settings the settings as they were, and so which ones this kernel has
 * @param pagesSharing how many pages are saved ({@code pages_sharing})
 * @param zeroPages empty pages that have become the kernel's page of zeros ({@code ksm_zero_pages}, since Linux 6.4)
 * @param pagesVolatile pages that change too fast to be looked for ({@code pages_volatile})
 * @param pagesKnown pages that {@code ksmd} keeps a record of, on the whole machine
 * @param pagesScanned pages looked at since the machine started ({@code pages_scanned}, since Linux 6.6)
 * @param fullScans how often it came to the end of all mergeable memory since the machine started ({@code full_scans})
 * @param markedBytes what this JVM has marked mergeable through ksm4j
 * @param ksmdTime CPU time that the thread {@code ksmd} has taken since the machine started, in steps of the kernel's clock tick,
 *     10 ms; absent in containers that do not show kernel threads
 * @param memoryTotal memory of the machine in bytes ({@code MemTotal} of {@code /proc/meminfo})
 * @param memoryAvailable how much of it could be had without swapping, in bytes ({@code MemAvailable})
 * @param memoryFree how much of it is free, buffers, or cache of files, in bytes: {@code MemFree}, {@code Buffers} and {@code
 *     Cached}
 * @param memoryCommitted what anonymous memory would take if nothing was merged, in bytes: {@code AnonPages}, and the pages that
 *     merging saves
 * @param stalledPercent how much of the last ten seconds some task waited for memory ({@code some avg10} of {@code
 *     /proc/pressure/memory}, since Linux 4.20), 0 to 100
 */
public record Observation(
        Duration time,
        KsmSettings settings,
        OptionalLong pagesSharing,
        OptionalLong zeroPages,
        OptionalLong pagesVolatile,
        OptionalLong pagesKnown,
        OptionalLong pagesScanned,
        OptionalLong fullScans,
        long markedBytes,
        Optional<Duration> ksmdTime,
        OptionalLong memoryTotal,
        OptionalLong memoryAvailable,
        OptionalLong memoryFree,
        OptionalLong memoryCommitted,
        OptionalDouble stalledPercent) {

    /** The pages that need no memory of their own. */
    long pagesMerged() {
        return pagesSharing.orElse(0) + zeroPages.orElse(0);
    }

    /** What lets {@code ksmd} be told how many pages to scan: the advisor switched off, where there is one. */
    KsmSettings withoutAdvisor() {
        return settings.get(KsmSetting.ADVISOR_MODE).isPresent()
                ? KsmSettings.EMPTY.with(KsmSetting.ADVISOR_MODE, KsmSetting.NONE)
                : KsmSettings.EMPTY;
    }
}
