// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import io.ksm4j.internal.CounterText;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * Everything that {@link KsmStats} contains as a number: for each one its file, the first kernel that has it, unit,
 * kind, description and name in metrics. Exporters can be written as a loop.
 *
 * <pre>{@code
 * KsmStats stats = KsmStats.read();
 * for (KsmCounter counter : KsmCounter.values()) {
 *     counter.value(stats).ifPresent(value -> send(counter.name(), value.doubleValue()));
 * }
 * }</pre>
 *
 * @since 0.1.0
 */
public enum KsmCounter {
    /** The setting {@link KsmStats#run}. */
    RUN("run", "2.6.32", "0 to 2", Kind.SETTING, CounterText.RUN, "ksm.kernel.run"),
    /** The setting {@link KsmStats#pagesToScan}. */
    PAGES_TO_SCAN("pages_to_scan", "2.6.32", "pages", Kind.SETTING, CounterText.PAGES_TO_SCAN, "ksm.kernel.scan.batch"),
    /** The setting {@link KsmStats#sleepMillisecs}. */
    SLEEP_MILLISECS(
            "sleep_millisecs", "2.6.32", "ms", Kind.SETTING, CounterText.SLEEP_MILLISECS, "ksm.kernel.scan.sleep"),
    /** The setting {@link KsmStats#mergeAcrossNodes}. */
    MERGE_ACROSS_NODES("merge_across_nodes", "3.9", "0 or 1", Kind.SETTING, CounterText.MERGE_ACROSS_NODES),
    /** The setting {@link KsmStats#maxPageSharing}. */
    MAX_PAGE_SHARING("max_page_sharing", "4.13", "mappings", Kind.SETTING, CounterText.MAX_PAGE_SHARING),
    /** The setting {@link KsmStats#useZeroPages}. */
    USE_ZERO_PAGES("use_zero_pages", "4.11", "0 or 1", Kind.SETTING, CounterText.USE_ZERO_PAGES),
    /** The setting {@link KsmStats#smartScan}. */
    SMART_SCAN("smart_scan", "6.7", "0 or 1", Kind.SETTING, CounterText.SMART_SCAN),
    /** The setting {@link KsmStats#maxKernelPages}, which only Linux 2.6.32 has. */
    MAX_KERNEL_PAGES("max_kernel_pages", "2.6.32", "pages", Kind.SETTING, CounterText.MAX_KERNEL_PAGES),
    /** The setting {@link KsmStats#stableNodeChainsPruneMillisecs}. */
    STABLE_NODE_CHAINS_PRUNE_MILLISECS(
            "stable_node_chains_prune_millisecs",
            "4.13",
            "ms",
            Kind.SETTING,
            CounterText.STABLE_NODE_CHAINS_PRUNE_MILLISECS),
    /** The setting {@link KsmStats#advisorMaxCpu}. */
    ADVISOR_MAX_CPU("advisor_max_cpu", "6.8", "%", Kind.SETTING, CounterText.ADVISOR_MAX_CPU),
    /** The setting {@link KsmStats#advisorTargetScanTime}. */
    ADVISOR_TARGET_SCAN_TIME(
            "advisor_target_scan_time", "6.8", "s", Kind.SETTING, CounterText.ADVISOR_TARGET_SCAN_TIME),
    /** The setting {@link KsmStats#advisorMinPagesToScan}. */
    ADVISOR_MIN_PAGES_TO_SCAN(
            "advisor_min_pages_to_scan", "6.8", "pages", Kind.SETTING, CounterText.ADVISOR_MIN_PAGES_TO_SCAN),
    /** The setting {@link KsmStats#advisorMaxPagesToScan}. */
    ADVISOR_MAX_PAGES_TO_SCAN(
            "advisor_max_pages_to_scan", "6.8", "pages", Kind.SETTING, CounterText.ADVISOR_MAX_PAGES_TO_SCAN),

    /** {@link KsmStats#pagesShared}. */
    PAGES_SHARED("pages_shared", "2.6.32", "pages", Kind.GAUGE, CounterText.PAGES_SHARED, Metric.pages("shared")),
    /** {@link KsmStats#pagesSharing}. */
    PAGES_SHARING("pages_sharing", "2.6.32", "pages", Kind.GAUGE, CounterText.PAGES_SHARING, Metric.pages("sharing")),
    /** {@link KsmStats#pagesUnshared}. */
    PAGES_UNSHARED(
            "pages_unshared", "2.6.32", "pages", Kind.GAUGE, CounterText.PAGES_UNSHARED, Metric.pages("unshared")),
    /** {@link KsmStats#pagesVolatile}. */
    PAGES_VOLATILE(
            "pages_volatile", "2.6.32", "pages", Kind.GAUGE, CounterText.PAGES_VOLATILE, Metric.pages("volatile")),
    /** {@link KsmStats#ksmZeroPages}. */
    KSM_ZERO_PAGES("ksm_zero_pages", "6.6", "pages", Kind.GAUGE, CounterText.KSM_ZERO_PAGES, "ksm.kernel.zero"),
    /** {@link KsmStats#stableNodeChains}. */
    STABLE_NODE_CHAINS("stable_node_chains", "4.13", "chains", Kind.GAUGE, CounterText.STABLE_NODE_CHAINS),
    /** {@link KsmStats#stableNodeDups}. */
    STABLE_NODE_DUPS("stable_node_dups", "4.13", "pages", Kind.GAUGE, CounterText.STABLE_NODE_DUPS),
    /** {@link KsmStats#generalProfit}. */
    GENERAL_PROFIT("general_profit", "6.4", "bytes", Kind.GAUGE, CounterText.GENERAL_PROFIT),

    /** {@link KsmStats#savedBytes}. */
    SAVED_BYTES(null, "2.6.32", "bytes", Kind.GAUGE, CounterText.SAVED_BYTES, "ksm.kernel.saved"),
    /** {@link KsmStats#usedBytes}. */
    USED_BYTES(null, "2.6.32", "bytes", Kind.GAUGE, CounterText.USED_BYTES, "ksm.kernel.used"),
    /** {@link KsmStats#rmapItems}. */
    RMAP_ITEMS(null, "2.6.32", "pages", Kind.GAUGE, CounterText.RMAP_ITEMS),
    /** {@link KsmStats#profitBytes}. */
    PROFIT_BYTES(null, "2.6.32", "bytes", Kind.GAUGE, CounterText.PROFIT_BYTES, "ksm.kernel.profit"),
    /** {@link KsmStats#sharingRatio}. */
    SHARING_RATIO(null, "2.6.32", "ratio", Kind.GAUGE, CounterText.SHARING_RATIO, "ksm.kernel.sharing"),
    /** {@link KsmStats#wastedEffort}. */
    WASTED_EFFORT(null, "2.6.32", "ratio", Kind.GAUGE, CounterText.WASTED_EFFORT, "ksm.kernel.wasted"),
    /** {@link KsmStats#volatileShare}. */
    VOLATILE_SHARE(null, "2.6.32", "ratio", Kind.GAUGE, CounterText.VOLATILE_SHARE, "ksm.kernel.volatile"),
    /** {@link KsmStats#fullScanTime} in milliseconds. */
    FULL_SCAN_MILLIS(null, "2.6.32", "ms", Kind.GAUGE, CounterText.FULL_SCAN_MILLIS),

    /** {@link KsmStats#fullScans}. */
    FULL_SCANS("full_scans", "2.6.32", "scans", Kind.COUNTER, CounterText.FULL_SCANS, "ksm.kernel.full.scans"),
    /** {@link KsmStats#pagesScanned}. */
    PAGES_SCANNED("pages_scanned", "6.6", "pages", Kind.COUNTER, CounterText.PAGES_SCANNED, "ksm.kernel.scanned"),
    /** {@link KsmStats#pagesSkipped}. */
    PAGES_SKIPPED("pages_skipped", "6.7", "pages", Kind.COUNTER, CounterText.PAGES_SKIPPED, "ksm.kernel.skipped"),
    /** {@link KsmStats#cowKsm}, in {@code /proc/vmstat}. */
    COW_KSM("cow_ksm", "5.19", "pages", Kind.COUNTER, CounterText.COW_KSM, Metric.copies("write")),
    /** {@link KsmStats#ksmSwpinCopy}, in {@code /proc/vmstat}. */
    KSM_SWPIN_COPY(
            "ksm_swpin_copy", "5.18", "pages", Kind.COUNTER, CounterText.KSM_SWPIN_COPY, Metric.copies("swapin"));

    /**
     * The kinds of numbers.
     *
     * @since 0.1.0
     */
    public enum Kind {
        /** A setting of {@code ksmd}. */
        SETTING,
        /** A value at the time of reading, which rises and falls. */
        GAUGE,
        /** A total since the machine started, which only rises. */
        COUNTER
    }

    /**
     * The metric that a number is exported as, by {@code ksm-micrometer} and by {@code ksm tune --prometheus}.
     *
     * @param name the name in Micrometer's style, such as {@code ksm.kernel.pages}; may be that of several numbers,
     *     which then differ in their tags
     * @param description what the metric counts, the same for all numbers of this name
     * @param tagKey the key of the tag; empty for no tag
     * @param tagValue the value of the tag; empty for no tag
     * @since 0.1.0
     */
    public record Metric(String name, String description, String tagKey, String tagValue) {

        private static Metric pages(String state) {
            return new Metric("ksm.kernel.pages", CounterText.RMAP_ITEMS, "state", state);
        }

        private static Metric copies(String cause) {
            return new Metric("ksm.kernel.copied", CounterText.COPIES, "cause", cause);
        }
    }

    private final @Nullable String file;
    private final String since;
    private final String unit;
    private final Kind kind;
    private final String description;

    @SuppressWarnings("ImmutableEnumChecker") // A record of strings.
    private final @Nullable Metric metric;

    KsmCounter(@Nullable String file, String since, String unit, Kind kind, String description) {
        this(file, since, unit, kind, description, (Metric) null);
    }

    KsmCounter(@Nullable String file, String since, String unit, Kind kind, String description, String metric) {
        this(file, since, unit, kind, description, new Metric(metric, description, "", ""));
    }

    KsmCounter(
            @Nullable String file, String since, String unit, Kind kind, String description, @Nullable Metric metric) {
        this.file = file;
        this.since = since;
        this.unit = unit;
        this.kind = kind;
        this.description = description;
        this.metric = metric;
    }

    /**
     * Returns the name of the file in {@code /sys/kernel/mm/ksm}, or of the line in {@code /proc/vmstat}.
     *
     * @return the name; empty for a number that is derived from others
     */
    public Optional<String> file() {
        return Optional.ofNullable(file);
    }

    /** {@return the first version of Linux that has this number, such as {@code 6.4}} */
    public String since() {
        return since;
    }

    /** {@return the unit: {@code pages}, {@code bytes}, {@code ms}, {@code ratio}, or the range of a setting} */
    public String unit() {
        return unit;
    }

    /** {@return whether this is a setting, a gauge or a counter} */
    public Kind kind() {
        return kind;
    }

    /** {@return what this number means, as text without a full stop at the end} */
    public String description() {
        return description;
    }

    /** {@return the metric that this number is exported as; empty if it is not} */
    public Optional<Metric> metric() {
        return Optional.ofNullable(metric);
    }

    /**
     * Returns the number.
     *
     * @param stats the statistics of a machine
     * @return a {@link Long}, or a {@link Double} if the unit is {@code ratio}; empty if it is absent
     */
    public Optional<Number> value(KsmStats stats) {
        return switch (this) {
            case GENERAL_PROFIT -> number(stats.generalProfit());
            case COW_KSM -> number(stats.cowKsm());
            case KSM_SWPIN_COPY -> number(stats.ksmSwpinCopy());
            case SAVED_BYTES -> number(stats.savedBytes());
            case USED_BYTES -> number(stats.usedBytes());
            case RMAP_ITEMS -> number(stats.rmapItems());
            case PROFIT_BYTES -> number(stats.profitBytes());
            case SHARING_RATIO -> number(stats.sharingRatio());
            case WASTED_EFFORT -> number(stats.wastedEffort());
            case VOLATILE_SHARE -> number(stats.volatileShare());
            case FULL_SCAN_MILLIS -> stats.fullScanTime().map(time -> time.toMillis());
            default -> number(stats.count(this));
        };
    }

    private static Optional<Number> number(OptionalLong number) {
        return number.isPresent() ? Optional.of(number.getAsLong()) : Optional.empty();
    }

    private static Optional<Number> number(OptionalDouble number) {
        return number.isPresent() ? Optional.of(number.getAsDouble()) : Optional.empty();
    }
}
