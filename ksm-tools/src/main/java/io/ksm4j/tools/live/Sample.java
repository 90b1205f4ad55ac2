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
 * The machine at one time. What it has done is since the sample before, and absent in the first.
 *
 * @param time when
 * @param machine its numbers
 * @param ksmdPercent how much of one processor {@code ksmd} took; absent too where the kernel's threads are not shown
 * @param pagesPerSecond how many pages {@code ksmd} looked at in a second; absent too before Linux 6.6
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
