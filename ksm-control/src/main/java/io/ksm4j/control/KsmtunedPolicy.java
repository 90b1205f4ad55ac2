package io.ksm4j.control;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;

/** {@link TuningPolicy#ksmtuned(Map)}. The script counts in KiB and whole numbers, and so does this. */
final class KsmtunedPolicy {

    private static final long KIB = 1 << 10;
    private static final long MIB = 1 << 20;

    /** The machine for which {@code KSM_SLEEP_MSEC} is meant, in KiB. */
    private static final long MEMORY_OF_SLEEP = 16 * MIB;

    private static final long LEAST_SLEEP = 10;

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
        requireAtLeast(1, "KSM_MONITOR_INTERVAL");
        requireAtLeast(0, "KSM_SLEEP_MSEC");
        requireAtLeast(-Integer.MAX_VALUE, "KSM_NPAGES_BOOST");
        requireAtLeast(-Integer.MAX_VALUE, "KSM_NPAGES_DECAY");
        requireAtLeast(1, "KSM_NPAGES_MIN");
        requireAtLeast(parameter("KSM_NPAGES_MIN"), "KSM_NPAGES_MAX");
        requireAtLeast(0, "KSM_THRES_COEF");
        requireAtLeast(0, "KSM_THRES_CONST");
    }

    private void requireAtLeast(long least, String name) {
        long value = parameter(name);
        if (value < least || value > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    name + " cannot be " + value + ": it is " + least + " to " + Integer.MAX_VALUE);
        }
    }

    private long parameter(String name) {
        return parameters.getOrDefault(name, 0L);
    }

    Decision decide(Observation now) {
        if (now.memoryTotal().isEmpty() || now.memoryFree().isEmpty()) {
            return standStill("/proc/meminfo does not tell how much memory is free");
        }
        long total = now.memoryTotal().getAsLong() / KIB;
        long free = now.memoryFree().getAsLong() / KIB;
        long threshold = Math.max(total * parameter("KSM_THRES_COEF") / 100, parameter("KSM_THRES_CONST"));
        if (free > threshold && now.memoryCommitted().orElse(0) / KIB + threshold < total) {
            return standStill(
                    mib(free) + " are free, more than " + mib(threshold) + ", and so would be without merging");
        }
        boolean isShort = free < threshold;
        pages += parameter(isShort ? "KSM_NPAGES_BOOST" : "KSM_NPAGES_DECAY");
        pages = Math.max(parameter("KSM_NPAGES_MIN"), Math.min(pages, parameter("KSM_NPAGES_MAX")));
        long sleep = Math.max(LEAST_SLEEP, parameter("KSM_SLEEP_MSEC") * MEMORY_OF_SLEEP / Math.max(total, 1));
        KsmSettings settings = now.withoutAdvisor()
                .with(KsmSetting.PAGES_TO_SCAN, pages)
                .with(KsmSetting.SLEEP_MILLISECS, Math.min(sleep, KsmSetting.SLEEP_MILLISECS.max()))
                .with(KsmSetting.RUN, 1);
        return decision(
                settings, mib(free) + " are free, " + (isShort ? "less than " : "not less than ") + mib(threshold));
    }

    private Decision standStill(String reason) {
        return decision(KsmSettings.EMPTY.with(KsmSetting.RUN, 0), reason);
    }

    private Decision decision(KsmSettings settings, String reason) {
        return new Decision(settings, Duration.ofSeconds(parameter("KSM_MONITOR_INTERVAL")), reason);
    }

    private static String mib(long kib) {
        return Math.round((double) kib / KIB) + " MiB";
    }
}
