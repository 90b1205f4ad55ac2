// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.status.Processes;
import io.ksm4j.tools.status.StatusJson;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * The machine at one time. Rates are relative to the previous sample and absent in the first.
 *
 * @param time when the sample was taken
 * @param machine the machine's counters
 * @param ksmdPercent CPU time of {@code ksmd} in percent of one processor; also absent if kernel threads are hidden
 * @param pagesPerSecond pages that {@code ksmd} scanned per second; also absent before Linux 6.6
 */
record Sample(Instant time, KsmStats machine, OptionalDouble ksmdPercent, OptionalDouble pagesPerSecond) {

    /** Returns the values that {@code ksm top --json} prints of this sample and of processes. */
    Map<String, Object> json(Processes processes) {
        Map<String, Object> values = new LinkedHashMap<>();
        // Instant's own text has a fraction of a second only if it is not zero.
        values.put("time", String.format(Locale.ROOT, "%1$tFT%1$tT.%1$tLZ", time.atOffset(ZoneOffset.UTC)));
        values.put("ksmdCpuPercent", ksmdPercent);
        values.put("pagesScannedPerSecond", pagesPerSecond);
        values.putAll(StatusJson.of(machine, processes));
        return values;
    }
}
