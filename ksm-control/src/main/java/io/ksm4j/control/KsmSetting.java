// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.util.Optional;

/**
 * A writable setting of {@code ksmd}: a file in {@code /sys/kernel/mm/ksm}. The kernel document
 * {@code Documentation/admin-guide/mm/ksm.rst} describes what each setting does. The ranges are those that Linux 6.18
 * enforces, or stores without truncation.
 *
 * @since 0.1.0
 */
public enum KsmSetting {
    /** 0: {@code ksmd} is stopped; 1: it scans; 2: it is stopped, and all merged pages are unmerged. */
    RUN("run", 0, 2),
    /**
     * Number of pages to scan before {@code ksmd} sleeps. While {@link #ADVISOR_MODE} is {@link #SCAN_TIME}, the kernel
     * chooses this value and refuses writes.
     */
    PAGES_TO_SCAN("pages_to_scan", 0, Limit.UINT),
    /** How long {@code ksmd} sleeps between batches, in milliseconds. */
    SLEEP_MILLISECS("sleep_millisecs", 0, Limit.UINT),
    /**
     * 1: pages on different NUMA nodes may merge. Can only change while no page is merged. Since Linux 3.9, with
     * {@code CONFIG_NUMA}.
     */
    MERGE_ACROSS_NODES("merge_across_nodes", 0, 1),
    /** 1: pages that contain only zeros are replaced by the kernel's zero page. Since Linux 4.11. */
    USE_ZERO_PAGES("use_zero_pages", 0, 1),
    /** How many mappings may share one page. Can only change while no page is merged. Since Linux 4.13. */
    MAX_PAGE_SHARING("max_page_sharing", 2, Integer.MAX_VALUE),
    /**
     * How often the kernel searches for stale records among pages that reached {@link #MAX_PAGE_SHARING}, in
     * milliseconds. Since Linux 4.13.
     */
    STABLE_NODE_CHAINS_PRUNE_MILLISECS("stable_node_chains_prune_millisecs", 0, Limit.UINT),
    /** 1: pages that did not merge are skipped in some scans. Since Linux 6.7. */
    SMART_SCAN("smart_scan", 0, 1),
    /** {@link #NONE} or {@link #SCAN_TIME}: whether the kernel chooses {@link #PAGES_TO_SCAN}. Since Linux 6.8. */
    ADVISOR_MODE("advisor_mode", 0, 1),
    /** Maximum CPU time of {@code ksmd} under the advisor, in percent of one core. Since Linux 6.8. */
    ADVISOR_MAX_CPU("advisor_max_cpu", 0, 100),
    /** Minimum that the advisor may choose for {@link #PAGES_TO_SCAN}. Since Linux 6.8. */
    ADVISOR_MIN_PAGES_TO_SCAN("advisor_min_pages_to_scan", 0, Limit.UINT),
    /** Maximum that the advisor may choose for {@link #PAGES_TO_SCAN}. Since Linux 6.8. */
    ADVISOR_MAX_PAGES_TO_SCAN("advisor_max_pages_to_scan", 0, Limit.UINT),
    /** How long a full scan should take under the advisor, in seconds. Since Linux 6.8. */
    ADVISOR_TARGET_SCAN_TIME("advisor_target_scan_time", 1, Limit.UINT);

    /** Value of {@link #ADVISOR_MODE}: the advisor is off, and {@link #PAGES_TO_SCAN} is what was written. */
    public static final long NONE = 0;

    /** Value of {@link #ADVISOR_MODE}: the kernel chooses {@link #PAGES_TO_SCAN} from the duration of a full scan. */
    public static final long SCAN_TIME = 1;

    /** In a class of its own, because the constants of an enum cannot refer to its static fields. */
    private static final class Limit {
        static final long UINT = 0xffff_ffffL;
    }

    private final String file;
    private final long min;
    private final long max;

    KsmSetting(String file, long min, long max) {
        this.file = file;
        this.min = min;
        this.max = max;
    }

    /**
     * Returns the setting that a file holds.
     *
     * @param file the name of the file, without its directory
     * @return the setting; empty if the file is not a writable setting
     */
    public static Optional<KsmSetting> ofFile(String file) {
        for (KsmSetting setting : values()) {
            if (setting.file.equals(file)) {
                return Optional.of(setting);
            }
        }
        return Optional.empty();
    }

    /**
     * Returns the name of the setting's file, without its directory.
     *
     * @return for example {@code pages_to_scan}
     */
    public String file() {
        return file;
    }

    /** {@return the minimum value, inclusive} */
    public long min() {
        return min;
    }

    /** {@return the maximum value, inclusive} */
    public long max() {
        return max;
    }

    /** {@return whether the kernel changes this setting only while no page is merged} */
    boolean needsNothingMerged() {
        return this == MERGE_ACROSS_NODES || this == MAX_PAGE_SHARING;
    }

    void requireInRange(long value) {
        if (value < min || value > max) {
            throw new IllegalArgumentException(file + " cannot be " + value + ": the range is " + min + " to " + max);
        }
    }

    /** {@return the text to write to the file for a value} */
    String textOf(long value) {
        return this == ADVISOR_MODE ? (value == SCAN_TIME ? "scan-time" : "none") : Long.toString(value);
    }

    /**
     * Returns the value of a text that was read from the file. That of {@link #ADVISOR_MODE} lists all modes, with the
     * current one in brackets: {@code [none] scan-time}.
     *
     * @param text the content of the file, without its line feed
     * @throws NumberFormatException if the text is not a value of this setting
     */
    long parse(String text) {
        if (this != ADVISOR_MODE) {
            return Long.parseLong(text);
        }
        if (text.contains("[none]")) {
            return NONE;
        }
        if (text.contains("[scan-time]")) {
            return SCAN_TIME;
        }
        throw new NumberFormatException("neither none nor scan-time is selected");
    }
}
