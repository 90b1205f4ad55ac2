// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.time.Duration;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * What a {@link TuningPolicy} bases its decision on. A number that this kernel does not provide, or a container hides,
 * is absent, never 0. The constructor checks nothing.
 *
 * @param time when the observation was made, relative to a fixed time for each tuner; never decreases
 * @param settings the current settings, and therefore which settings this kernel has
 * @param pagesSharing number of pages saved ({@code pages_sharing})
 * @param zeroPages number of pages replaced by the kernel's zero page ({@code ksm_zero_pages}, since Linux 6.4)
 * @param pagesVolatile number of pages that change too fast to be merged ({@code pages_volatile})
 * @param pagesKnown number of pages on the whole machine that {@code ksmd} keeps a record of
 * @param pagesScanned number of pages scanned since the machine started ({@code pages_scanned}, since Linux 6.6)
 * @param fullScans number of scans of all mergeable memory since the machine started ({@code full_scans})
 * @param markedBytes number of bytes that this JVM has marked mergeable through ksm4j
 * @param ksmdTime CPU time of the thread {@code ksmd} since the machine started, in steps of the kernel's clock tick,
 *     10 ms; absent in containers that hide kernel threads
 * @param memoryTotal memory of the machine in bytes ({@code MemTotal} in {@code /proc/meminfo})
 * @param memoryAvailable bytes that can be allocated without swapping ({@code MemAvailable})
 * @param memoryFree bytes that are free or hold buffers or cached files: {@code MemFree}, {@code Buffers} and {@code
 *     Cached}
 * @param memoryCommitted bytes that anonymous memory would occupy if nothing were merged: {@code AnonPages}, and the
 *     pages that merging saves
 * @param stalledPercent percentage of the last ten seconds in which some task waited for memory ({@code some avg10} in
 *     {@code /proc/pressure/memory}, since Linux 4.20), 0 to 100
 * @since 0.1.0
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

    /** {@return the number of pages that need no memory of their own} */
    long pagesMerged() {
        return pagesSharing.orElse(0) + zeroPages.orElse(0);
    }

    /**
     * Returns the settings to begin with if {@code pages_to_scan} is to be set: the advisor is switched off, if there
     * is one.
     */
    KsmSettings withoutAdvisor() {
        return settings.get(KsmSetting.ADVISOR_MODE).isPresent()
                ? KsmSettings.EMPTY.with(KsmSetting.ADVISOR_MODE, KsmSetting.NONE)
                : KsmSettings.EMPTY;
    }
}
