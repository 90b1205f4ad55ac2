// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.micrometer;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegistry;
import io.ksm4j.internal.CounterText;
import io.ksm4j.stats.KsmCounter;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.stats.RegionStats;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.binder.BaseUnits;
import io.micrometer.core.instrument.binder.MeterBinder;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * Meters that show the effect of merging: on the whole machine, for this process and, with a {@link Ksm}, in the
 * regions of this JVM.
 *
 * <pre>{@code
 * MeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
 * new KsmMetrics(Ksm.systemOrFallback()).bindTo(registry);
 * }</pre>
 *
 * <table>
 * <caption>The meters</caption>
 * <tr><th>name<th>unit<th>meaning
 * <tr><td>{@code ksm.kernel.pages}<td>pages<td>pages that {@code ksmd} keeps a record of, by {@code state}: {@code
 *     shared}, {@code sharing}, {@code unshared}, {@code volatile}; their sum is {@link KsmStats#rmapItems}
 * <tr><td>{@code ksm.kernel.zero}<td>pages<td>{@link KsmStats#ksmZeroPages}
 * <tr><td>{@code ksm.kernel.saved}<td>bytes<td>{@link KsmStats#savedBytes}
 * <tr><td>{@code ksm.kernel.used}<td>bytes<td>{@link KsmStats#usedBytes}
 * <tr><td>{@code ksm.kernel.profit}<td>bytes<td>{@link KsmStats#profitBytes}
 * <tr><td>{@code ksm.kernel.sharing}<td>ratio<td>{@link KsmStats#sharingRatio}
 * <tr><td>{@code ksm.kernel.wasted}<td>ratio<td>{@link KsmStats#wastedEffort}; it may be infinite
 * <tr><td>{@code ksm.kernel.volatile}<td>ratio<td>{@link KsmStats#volatileShare}
 * <tr><td>{@code ksm.kernel.run}<td><td>{@link KsmStats#run}
 * <tr><td>{@code ksm.kernel.scan.batch}<td>pages<td>{@link KsmStats#pagesToScan}
 * <tr><td>{@code ksm.kernel.scan.sleep}<td>the time unit of the registry<td>{@link KsmStats#sleepMillisecs}
 * <tr><td>{@code ksm.kernel.full.scans}<td>scans<td>counter: {@link KsmStats#fullScans}
 * <tr><td>{@code ksm.kernel.scanned}<td>pages<td>counter: {@link KsmStats#pagesScanned}
 * <tr><td>{@code ksm.kernel.skipped}<td>pages<td>counter: {@link KsmStats#pagesSkipped}
 * <tr><td>{@code ksm.kernel.copied}<td>pages<td>counter, by {@code cause}: {@code write} is {@link KsmStats#cowKsm},
 *     {@code swapin} is {@link KsmStats#ksmSwpinCopy}
 * <tr><td>{@code ksm.process.pages}<td>pages<td>pages of this process by {@code state}: {@code merged} is {@link
 *     ProcessKsmStats#mergingPages}, {@code zero} is {@link ProcessKsmStats#zeroPages}
 * <tr><td>{@code ksm.process.merged}<td>bytes<td>{@link ProcessKsmStats#mergedBytes}
 * <tr><td>{@code ksm.process.profit}<td>bytes<td>{@link ProcessKsmStats#profitBytes}
 * <tr><td>{@code ksm.process.rmap.items}<td>items<td>{@link ProcessKsmStats#rmapItems}
 * <tr><td>{@code ksm.regions.open}<td>regions<td>{@link MergeRegistry#openRegions}
 * <tr><td>{@code ksm.regions.leaked}<td>regions<td>counter: {@link MergeRegistry#leaks}
 * <tr><td>{@code ksm.regions.mergeable}<td>bytes<td>{@link MergeRegistry#mergeableBytes}
 * <tr><td>{@code ksm.regions.resident}<td>bytes<td>{@link RegionStats#residentBytes}
 * <tr><td>{@code ksm.regions.merged}<td>bytes<td>{@link RegionStats#mergedBytes}
 * <tr><td>{@code ksm.regions.zero}<td>bytes<td>{@link RegionStats#zeroBytes}
 * <tr><td>{@code ksm.regions.huge}<td>bytes<td>{@link RegionStats#hugeBytes}
 * <tr><td>{@code ksm.regions.saved}<td>bytes<td>{@link RegionStats#savedBytes}
 * </table>
 *
 * <p><b>Missing numbers.</b> A number that this kernel does not provide when the meters are bound has no meter. Regions
 * of a fallback {@code Ksm} never merge, and have only the meters of the registry: {@code open}, {@code leaked} and
 * {@code mergeable}. Later on, a gauge is NaN while there is no number: for a ratio of 0 to 0, or if a file cannot be
 * read. A counter keeps its value then, since registries that publish differences would lose count. Counters count from
 * the start of the machine, {@code ksm.regions.leaked} from the start of the JVM.
 *
 * <p><b>Cost of a scrape.</b> Numbers from the same files are read together, shared by all meters and all registries,
 * and kept for one second: a scrape reads at most about 30 small files. The numbers of {@link Ksm#stats()}, which take
 * milliseconds for each resident GiB, are kept for 30 seconds, or for the given interval. Reading takes at most 1 % of
 * the time: numbers that took one second to read are kept for 100 seconds. A scrape during a reading waits for it.
 *
 * <p><b>Failures.</b> No meter throws. A failed reading is logged by the logger {@code io.ksm4j}, the first of each
 * kind as a warning. If a reading fails while the meters are bound, its meters are missing.
 *
 * <p>Nothing needs to be closed, and the binder need not be kept: the meters keep everything they need reachable. Safe
 * for use by multiple threads; a binder may be bound to several registries.
 *
 * @since 0.1.0
 */
public final class KsmMetrics implements MeterBinder {

    private static final Duration SECOND = Duration.ofSeconds(1);
    private static final Duration REGIONS_INTERVAL = Duration.ofSeconds(30);

    private static final String PAGES = "pages";
    private static final String REGIONS = "regions";

    private final Tags tags;
    private final CachedReading<KsmStats> kernel;
    private final CachedReading<ProcessKsmStats> process;
    private final @Nullable MergeRegistry marks;
    private final @Nullable CachedReading<RegionStats> regions;

    /** Creates meters of the machine and of this process. Needs no native code. */
    public KsmMetrics() {
        this(List.of());
    }

    /**
     * Creates meters of the machine and of this process. Needs no native code.
     *
     * @param tags tags for all meters
     */
    public KsmMetrics(Iterable<Tag> tags) {
        this(tags, kernel(), process(), null, null);
    }

    /**
     * Creates meters of the machine, of this process and of the regions of this JVM.
     *
     * @param ksm measures the regions; any except a fallback measures the marked memory of the whole JVM
     */
    public KsmMetrics(Ksm ksm) {
        this(ksm, List.of());
    }

    /**
     * Creates meters of the machine, of this process and of the regions of this JVM.
     *
     * @param ksm measures the regions; any except a fallback measures the marked memory of the whole JVM
     * @param tags tags for all meters
     */
    public KsmMetrics(Ksm ksm, Iterable<Tag> tags) {
        this(ksm, tags, REGIONS_INTERVAL);
    }

    /**
     * Creates meters of the machine, of this process and of the regions of this JVM.
     *
     * @param ksm measures the regions; any except a fallback measures the marked memory of the whole JVM
     * @param tags tags for all meters
     * @param regionsInterval the minimum time that the numbers of {@link Ksm#stats()} are kept
     * @throws IllegalArgumentException if the interval is negative
     */
    public KsmMetrics(Ksm ksm, Iterable<Tag> tags, Duration regionsInterval) {
        this(tags, kernel(), process(), ksm.registry(), regions(ksm, regionsInterval));
    }

    KsmMetrics(
            Iterable<Tag> tags,
            CachedReading<KsmStats> kernel,
            CachedReading<ProcessKsmStats> process,
            @Nullable MergeRegistry marks,
            @Nullable CachedReading<RegionStats> regions) {
        this.tags = Tags.of(tags);
        this.kernel = kernel;
        this.process = process;
        this.marks = marks;
        this.regions = regions;
    }

    private static CachedReading<KsmStats> kernel() {
        return new CachedReading<>("merging on this machine", SECOND, KsmStats::read, System::nanoTime);
    }

    private static CachedReading<ProcessKsmStats> process() {
        return new CachedReading<>("merging in this process", SECOND, ProcessKsmStats::read, System::nanoTime);
    }

    private static @Nullable CachedReading<RegionStats> regions(Ksm ksm, Duration interval) {
        if (interval.isNegative()) {
            throw new IllegalArgumentException("interval " + interval + " is negative");
        }
        return ksm.backend().equals("fallback")
                ? null
                : new CachedReading<>("merge regions", interval, ksm::stats, System::nanoTime);
    }

    /**
     * Registers the meters. Reads all numbers once, to find out which ones this kernel provides.
     *
     * @param registry the registry; meters that it already has with the same names and tags stay
     */
    @Override
    public void bindTo(MeterRegistry registry) {
        KsmStats kernelStats = kernel.get();
        if (kernelStats != null) {
            bindKernel(new MeterGroup<>(registry, tags, kernel, kernelStats));
        }
        ProcessKsmStats processStats = process.get();
        if (processStats != null) {
            bindProcess(new MeterGroup<>(registry, tags, process, processStats));
        }
        if (marks != null) {
            bindMarks(registry, marks);
        }
        RegionStats regionStats = regions == null ? null : regions.get();
        if (regionStats != null) {
            bindRegions(new MeterGroup<>(registry, tags, regions, regionStats));
        }
    }

    private static void bindKernel(MeterGroup<KsmStats> kernel) {
        for (KsmCounter counter : KsmCounter.values()) {
            boolean isProvided = counter.unit().equals("ratio")
                    ? kernel.first().rmapItems().isPresent()
                    : counter.value(kernel.first()).isPresent();
            counter.metric().ifPresent(metric -> kernel.add(counter, metric, counter::value, isProvided));
        }
    }

    private static void bindProcess(MeterGroup<ProcessKsmStats> process) {
        String pages = CounterText.PROCESS_PAGES;
        process.gauge("ksm.process.pages", PAGES, pages, ProcessKsmStats::mergingPages, "state", "merged");
        process.gauge("ksm.process.pages", PAGES, pages, ProcessKsmStats::zeroPages, "state", "zero");
        process.gauge(
                "ksm.process.merged", BaseUnits.BYTES, CounterText.PROCESS_MERGED_BYTES, ProcessKsmStats::mergedBytes);
        process.gauge(
                "ksm.process.profit", BaseUnits.BYTES, CounterText.PROCESS_PROFIT_BYTES, ProcessKsmStats::profitBytes);
        process.gauge("ksm.process.rmap.items", "items", CounterText.PROCESS_RMAP_ITEMS, ProcessKsmStats::rmapItems);
    }

    private void bindMarks(MeterRegistry registry, MergeRegistry marks) {
        Gauge.builder("ksm.regions.open", marks, MergeRegistry::openRegions)
                .tags(tags)
                .baseUnit(REGIONS)
                .description("Merge regions that are open, marked or not")
                .register(registry);
        Gauge.builder("ksm.regions.mergeable", marks, MergeRegistry::mergeableBytes)
                .tags(tags)
                .baseUnit(BaseUnits.BYTES)
                .description("Memory that is marked mergeable")
                .register(registry);
        FunctionCounter.builder("ksm.regions.leaked", marks, MergeRegistry::leaks)
                .tags(tags)
                .baseUnit(REGIONS)
                .description("Merge regions that became unreachable without being closed")
                .register(registry);
    }

    private static void bindRegions(MeterGroup<RegionStats> regions) {
        regions.gauge(
                "ksm.regions.resident",
                BaseUnits.BYTES,
                "Memory that marked memory appears to occupy",
                stats -> OptionalLong.of(stats.residentBytes()));
        regions.gauge(
                "ksm.regions.merged", BaseUnits.BYTES, "Marked memory that ksmd has merged", RegionStats::mergedBytes);
        regions.gauge(
                "ksm.regions.zero",
                BaseUnits.BYTES,
                "Marked memory that ksmd has replaced by the kernel's zero page",
                RegionStats::zeroBytes);
        regions.gauge(
                "ksm.regions.huge",
                BaseUnits.BYTES,
                "Marked memory in huge pages, which do not merge",
                stats -> OptionalLong.of(stats.hugeBytes()));
        regions.gauge(
                "ksm.regions.saved",
                BaseUnits.BYTES,
                "Memory that merging saves in marked memory",
                stats -> OptionalLong.of(stats.savedBytes()));
    }
}
