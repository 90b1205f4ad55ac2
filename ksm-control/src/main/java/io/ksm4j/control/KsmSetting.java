package io.ksm4j.control;

import java.util.Optional;

/**
 * A writable setting of {@code ksmd}: a file of {@code /sys/kernel/mm/ksm}. What each does is in the kernel document {@code
 * Documentation/admin-guide/mm/ksm.rst}. The ranges are those that Linux 6.18 enforces, or takes without cutting off bits.
 */
public enum KsmSetting {
    /** 0: {@code ksmd} stands still; 1: it scans; 2: it stands still, and all merged pages are taken apart. */
    RUN("run", 0, 2),
    /**
     * How many pages it scans before it sleeps. The kernel chooses, and refuses to be told, while {@link #ADVISOR_MODE} is {@link
     * #SCAN_TIME}.
     */
    PAGES_TO_SCAN("pages_to_scan", 0, Limit.UINT),
    /** How long it sleeps then, in milliseconds. */
    SLEEP_MILLISECS("sleep_millisecs", 0, Limit.UINT),
    /** 1: pages of different NUMA nodes merge. Changes only while no page is merged. Since Linux 3.9, with {@code CONFIG_NUMA}. */
    MERGE_ACROSS_NODES("merge_across_nodes", 0, 1),
    /** 1: empty pages become the kernel's page of zeros. Since Linux 4.11. */
    USE_ZERO_PAGES("use_zero_pages", 0, 1),
    /** How many mappings may share one page. Changes only while no page is merged. Since Linux 4.13. */
    MAX_PAGE_SHARING("max_page_sharing", 2, Integer.MAX_VALUE),
    /** How often stale records are looked for among pages that reached {@link #MAX_PAGE_SHARING}, in milliseconds. Since Linux 4.13. */
    STABLE_NODE_CHAINS_PRUNE_MILLISECS("stable_node_chains_prune_millisecs", 0, Limit.UINT),
    /** 1: pages that did not merge are passed over in some scans. Since Linux 6.7. */
    SMART_SCAN("smart_scan", 0, 1),
    /** {@link #NONE} or {@link #SCAN_TIME}: whether the kernel chooses {@link #PAGES_TO_SCAN}. Since Linux 6.8. */
    ADVISOR_MODE("advisor_mode", 0, 1),
    /** The most of a processor that {@code ksmd} may take under the advisor, in percent. Since Linux 6.8. */
    ADVISOR_MAX_CPU("advisor_max_cpu", 0, 100),
    /** The least that the advisor chooses for {@link #PAGES_TO_SCAN}. Since Linux 6.8. */
    ADVISOR_MIN_PAGES_TO_SCAN("advisor_min_pages_to_scan", 0, Limit.UINT),
    /** The most that the advisor chooses for {@link #PAGES_TO_SCAN}. Since Linux 6.8. */
    ADVISOR_MAX_PAGES_TO_SCAN("advisor_max_pages_to_scan", 0, Limit.UINT),
    /** How long a full scan should take under the advisor, in seconds. Since Linux 6.8. */
    ADVISOR_TARGET_SCAN_TIME("advisor_target_scan_time", 1, Limit.UINT);

    /** Of {@link #ADVISOR_MODE}: nobody but the user chooses. */
    public static final long NONE = 0;

    /** Of {@link #ADVISOR_MODE}: the kernel chooses by the time of a full scan. */
    public static final long SCAN_TIME = 1;

    /** Constants of an enum cannot refer to its own static fields. */
    private static final class Limit {
        static final long UINT = 0xffff_ffffL;
    }

    private final String file;
    private final long least;
    private final long most;

    KsmSetting(String file, long least, long most) {
        this.file = file;
        this.least = least;
        this.most = most;
    }

    /**
     * The setting of a file.
     *
     * @param file the file's name
     * @return empty if it is none that can be written
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
     * The file's name.
     *
     * @return for example {@code pages_to_scan}
     */
    public String file() {
        return file;
    }

    /**
     * The least value.
     *
     * @return the first that is allowed
     */
    public long least() {
        return least;
    }

    /**
     * The greatest value.
     *
     * @return the last that is allowed
     */
    public long most() {
        return most;
    }

    /** Whether it can only be changed while no page is merged. */
    boolean needsNothingMerged() {
        return this == MERGE_ACROSS_NODES || this == MAX_PAGE_SHARING;
    }

    void require(long value) {
        if (value < least || value > most) {
            throw new IllegalArgumentException(file + " cannot be " + value + ": it is " + least + " to " + most);
        }
    }

    /** What is written into the file for a value. */
    String textOf(long value) {
        return this == ADVISOR_MODE ? (value == SCAN_TIME ? "scan-time" : "none") : Long.toString(value);
    }

    /** The value of what is read from the file, without its line end; of the advisor's mode that is {@code [none] scan-time}. */
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
        throw new NumberFormatException("neither none nor scan-time is chosen");
    }
}
