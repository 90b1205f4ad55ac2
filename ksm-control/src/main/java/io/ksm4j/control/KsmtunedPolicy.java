// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;

/** Implements {@link TuningPolicy#ksmtuned(Map)}. Calculates with whole KiB, as the script does. */
final class KsmtunedPolicy {

    private static final long KIB = 1 << 10;
    private static final long MIB = 1 << 20;

    /** Memory of the machine that {@code KSM_SLEEP_MSEC} is meant for, in KiB. */
    private static final long MEMORY_OF_SLEEP = 16 * MIB;

    private static final long MIN_SLEEP = 10;

    private static final Map<String, Long> DEFAULTS = Map.of(
            "KSM_MONITOR_INTERVAL", 60L,
            "KSM_SLEEP_MSEC", 10L,
            "KSM_NPAGES_BOOST", 300L,
            "KSM_NPAGES_DECAY", -50L,
            "KSM_NPAGES_MIN", 64L,
            "KSM_NPAGES_MAX", 1250L,
            "KSM_THRES_COEF", 20L,
            "KSM_THRES_CONST", 2048L);

    private final Map<String, Long> parameters = new HashMap<>(DEFAULTS);

    private long pages;

    KsmtunedPolicy(Map<String, Long> others) {
        others.forEach((name, value) -> {
            if (parameters.replace(name, value) == null) {
                throw new IllegalArgumentException("ksmtuned has no parameter " + name);
            }
        });
        requireMin(1, "KSM_MONITOR_INTERVAL");
        requireMin(0, "KSM_SLEEP_MSEC");
        requireMin(-Integer.MAX_VALUE, "KSM_NPAGES_BOOST");
        requireMin(-Integer.MAX_VALUE, "KSM_NPAGES_DECAY");
        requireMin(1, "KSM_NPAGES_MIN");
        requireMin(parameter("KSM_NPAGES_MIN"), "KSM_NPAGES_MAX");
        requireMin(0, "KSM_THRES_COEF");
        requireMin(0, "KSM_THRES_CONST");
    }

    private void requireMin(long min, String name) {
        long value = parameter(name);
        if (value < min || value > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    name + " cannot be " + value + ": the range is " + min + " to " + Integer.MAX_VALUE);
        }
    }

    private long parameter(String name) {
        return parameters.getOrDefault(name, 0L);
    }

    Decision decide(Observation now) {
        if (now.memoryTotal().isEmpty() || now.memoryFree().isEmpty()) {
            return stop("/proc/meminfo does not show how much memory is free");
        }
        long total = now.memoryTotal().getAsLong() / KIB;
        long free = now.memoryFree().getAsLong() / KIB;
        long threshold = Math.max(total * parameter("KSM_THRES_COEF") / 100, parameter("KSM_THRES_CONST"));
        if (free > threshold && now.memoryCommitted().orElse(0) / KIB + threshold < total) {
            return stop(mib(free) + " free, more than " + mib(threshold) + "; the same would hold without merging");
        }
        boolean isShort = free < threshold;
        pages += parameter(isShort ? "KSM_NPAGES_BOOST" : "KSM_NPAGES_DECAY");
        pages = Math.max(parameter("KSM_NPAGES_MIN"), Math.min(pages, parameter("KSM_NPAGES_MAX")));
        long sleep = Math.max(MIN_SLEEP, parameter("KSM_SLEEP_MSEC") * MEMORY_OF_SLEEP / Math.max(total, 1));
        KsmSettings settings = now.withoutAdvisor()
                .with(KsmSetting.PAGES_TO_SCAN, pages)
                .with(KsmSetting.SLEEP_MILLISECS, Math.min(sleep, KsmSetting.SLEEP_MILLISECS.max()))
                .with(KsmSetting.RUN, 1);
        return decision(settings, mib(free) + " free, " + (isShort ? "less than " : "at least ") + mib(threshold));
    }

    private Decision stop(String reason) {
        return decision(KsmSettings.EMPTY.with(KsmSetting.RUN, 0), reason);
    }

    private Decision decision(KsmSettings settings, String reason) {
        return new Decision(settings, Duration.ofSeconds(parameter("KSM_MONITOR_INTERVAL")), reason);
    }

    private static String mib(long kib) {
        return Math.round((double) kib / KIB) + " MiB";
    }
}
