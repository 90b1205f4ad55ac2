// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.micrometer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.stats.RegionStats;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.binder.BaseUnits;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ref.WeakReference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The meters and their values, for recorded files of several kernels. */
class KsmMetricsTest {

    private static final Path KERNELS = Path.of("../ksm-api/src/test/resources/kernels");
    private static final Path LINUX_6_18 = KERNELS.resolve("6.18");
    private static final Path LINUX_2_6_32 = KERNELS.resolve("2.6.32");
    private static final long PAGE = 4096;

    private static final RegionStats REGIONS =
            new RegionStats(700, 900, OptionalLong.of(500), OptionalLong.of(100), 200, 400);
    private static final RegionStats REGIONS_OF_OLD_KERNEL =
            new RegionStats(700, 900, OptionalLong.empty(), OptionalLong.empty(), 200, 400);

    /** A tree of files that tests change. */
    @TempDir
    Path root;

    private final AtomicLong clock = new AtomicLong();
    private final AtomicInteger reads = new AtomicInteger();
    private final AtomicBoolean failing = new AtomicBoolean();
    private final MeterRegistry registry = new SimpleMeterRegistry();

    @BeforeEach
    void writeTree() throws IOException {
        Files.createDirectories(root.resolve("sys/kernel/mm/ksm"));
        Files.createDirectories(root.resolve("proc/1"));
        for (String file : List.of("pages_shared", "pages_sharing", "pages_unshared", "pages_volatile", "full_scans")) {
            write(file, "0");
        }
    }

    private Path file(String name) {
        return root.resolve("sys/kernel/mm/ksm").resolve(name);
    }

    private void write(String name, String number) throws IOException {
        Files.writeString(file(name), number + "\n");
    }

    private <T> CachedReading<T> reading(Supplier<T> source) {
        Supplier<T> counted = () -> {
            reads.incrementAndGet();
            if (failing.get()) {
                throw new UncheckedIOException("as the test wants", new IOException());
            }
            return source.get();
        };
        return new CachedReading<>("a test", Duration.ofSeconds(1), counted, clock::get);
    }

    private void passSecond() {
        clock.addAndGet(Duration.ofSeconds(1).toNanos());
    }

    /** {@return the meters of a machine and its process 1, with the files of these trees} */
    private KsmMetrics metrics(Path kernel, Path process) {
        return new KsmMetrics(
                List.of(),
                reading(() -> KsmStats.read(kernel, PAGE)),
                reading(() -> ProcessKsmStats.read(process, 1, PAGE)),
                null,
                null);
    }

    private KsmMetrics metrics(Path tree, RegionStats regions, Tag... tags) {
        return new KsmMetrics(
                List.of(tags),
                reading(() -> KsmStats.read(tree, PAGE)),
                reading(() -> ProcessKsmStats.read(tree, 1, PAGE)),
                MergeRegistry.system(),
                reading(() -> regions));
    }

    private List<String> names() {
        return registry.getMeters().stream()
                .map(meter -> meter.getId().getName())
                .distinct()
                .sorted()
                .toList();
    }

    private double gauge(String name, String... tags) {
        return registry.get(name).tags(tags).gauge().value();
    }

    private double counter(String name, String... tags) {
        return registry.get(name).tags(tags).functionCounter().count();
    }

    @Test
    void showTheNumbersOfARecordedKernel() {
        PrometheusMeterRegistry prometheus = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        metrics(LINUX_6_18, REGIONS).bindTo(prometheus);

        Map<String, Double> samples = new HashMap<>();
        prometheus.scrape().lines().filter(line -> !line.startsWith("#")).forEach(line -> {
            int end = line.lastIndexOf(' ');
            samples.put(line.substring(0, end), Double.valueOf(line.substring(end + 1)));
        });

        Map<String, Double> expected = new HashMap<>();
        expected.put("ksm_kernel_pages{state=\"shared\"}", 64.0);
        expected.put("ksm_kernel_pages{state=\"sharing\"}", 4032.0);
        expected.put("ksm_kernel_pages{state=\"unshared\"}", 1000.0);
        expected.put("ksm_kernel_pages{state=\"volatile\"}", 100.0);
        expected.put("ksm_kernel_zero_pages", 200.0);
        expected.put("ksm_kernel_saved_bytes", (4032 + 200) * 4096.0);
        expected.put("ksm_kernel_used_bytes", 64 * 4096.0);
        // The kernel's own general_profit at that time.
        expected.put("ksm_kernel_profit_bytes", 17001728.0);
        expected.put("ksm_kernel_sharing_ratio", 63.0);
        expected.put("ksm_kernel_wasted_ratio", 1000 / 4032.0);
        expected.put("ksm_kernel_volatile_ratio", 100 / 5196.0);
        expected.put("ksm_kernel_run", 1.0);
        expected.put("ksm_kernel_scan_batch_pages", 1000000.0);
        expected.put("ksm_kernel_scan_sleep_seconds", 0.020);
        expected.put("ksm_kernel_full_scans_total", 16518227.0);
        expected.put("ksm_kernel_scanned_pages_total", 116327233.0);
        expected.put("ksm_kernel_skipped_pages_total", 70950.0);
        expected.put("ksm_kernel_copied_pages_total{cause=\"write\"}", 196331.0);
        expected.put("ksm_kernel_copied_pages_total{cause=\"swapin\"}", 0.0);
        expected.put("ksm_process_pages{state=\"merged\"}", 4096.0);
        expected.put("ksm_process_pages{state=\"zero\"}", 200.0);
        expected.put("ksm_process_merged_bytes", (4096 + 200) * 4096.0);
        // The kernel's own ksm_process_profit at that time.
        expected.put("ksm_process_profit_bytes", 17263872.0);
        expected.put("ksm_process_rmap_items", 5196.0);
        expected.put("ksm_regions_open_regions", 0.0);
        expected.put("ksm_regions_leaked_regions_total", 0.0);
        expected.put("ksm_regions_mergeable_bytes", 0.0);
        expected.put("ksm_regions_resident_bytes", 700.0);
        expected.put("ksm_regions_merged_bytes", 500.0);
        expected.put("ksm_regions_zero_bytes", 100.0);
        expected.put("ksm_regions_huge_bytes", 200.0);
        expected.put("ksm_regions_saved_bytes", 400.0);
        assertThat(samples).containsExactlyInAnyOrderEntriesOf(expected);
    }

    @Test
    void followNamingConventions() throws IOException {
        metrics(LINUX_6_18, REGIONS, Tag.of("host", "a")).bindTo(registry);
        String javadoc = Files.readString(Path.of("src/main/java/io/ksm4j/micrometer/KsmMetrics.java"));

        Map<String, Meter.Id> first = new HashMap<>();
        for (Meter meter : registry.getMeters()) {
            Meter.Id id = meter.getId();
            String name = id.getName();
            assertThat(name).matches("ksm\\.(kernel|process|regions)(\\.[a-z]+)+");
            assertThat(name.split("\\.", -1))
                    .doesNotContain("bytes", "seconds", "ms", "ratio", "percent", "total", "count");
            assertThat(id.getDescription()).as(name).isNotBlank().doesNotEndWith(".");
            if (!name.equals("ksm.kernel.run")) {
                assertThat(id.getBaseUnit())
                        .as(name)
                        .isIn(BaseUnits.BYTES, "pages", "ratio", "items", "scans", "regions", "seconds");
            }
            assertThat(id.getTag("host")).as(name).isEqualTo("a");
            assertThat(javadoc).contains("<tr><td>{@code " + name + "}");
            // Meters with the same name must measure the same thing, so that their sum makes sense.
            Meter.Id same = first.computeIfAbsent(name, unused -> id);
            assertThat(id.getType()).isEqualTo(same.getType());
            assertThat(id.getBaseUnit()).isEqualTo(same.getBaseUnit());
            assertThat(id.getDescription()).isEqualTo(same.getDescription());
            assertThat(keys(id)).isEqualTo(keys(same));
        }
        assertThat(javadoc.split("<tr><td>", -1))
                .as("documented meters, and the text before the first")
                .hasSize(first.size() + 1);
    }

    private static List<String> keys(Meter.Id id) {
        return id.getTags().stream().map(Tag::getKey).toList();
    }

    @Test
    void anOldKernelHasTheMetersItProvides() {
        metrics(LINUX_2_6_32, REGIONS_OF_OLD_KERNEL).bindTo(registry);
        assertThat(names())
                .containsExactly(
                        "ksm.kernel.full.scans",
                        "ksm.kernel.pages",
                        "ksm.kernel.profit",
                        "ksm.kernel.run",
                        "ksm.kernel.saved",
                        "ksm.kernel.scan.batch",
                        "ksm.kernel.scan.sleep",
                        "ksm.kernel.sharing",
                        "ksm.kernel.used",
                        "ksm.kernel.volatile",
                        "ksm.kernel.wasted",
                        "ksm.regions.huge",
                        "ksm.regions.leaked",
                        "ksm.regions.mergeable",
                        "ksm.regions.open",
                        "ksm.regions.resident",
                        "ksm.regions.saved");
        assertThat(gauge("ksm.kernel.saved")).isEqualTo(21000 * 4096.0);
    }

    @Test
    void aKernelWithoutKsmHasNoMeters(@TempDir Path empty) throws IOException {
        Files.createDirectories(empty.resolve("proc/1"));
        metrics(empty, empty).bindTo(registry);
        assertThat(reads).hasValue(2);
        assertThat(registry.getMeters()).isEmpty();
    }

    @Test
    void ratiosHaveMetersBeforeAnythingIsMerged() throws IOException {
        metrics(root, root).bindTo(registry);
        assertThat(gauge("ksm.kernel.sharing")).isNaN();
        assertThat(gauge("ksm.kernel.wasted")).isNaN();
        assertThat(gauge("ksm.kernel.volatile")).isNaN();

        write("pages_unshared", "3");
        write("pages_volatile", "1");
        passSecond();
        assertThat(gauge("ksm.kernel.wasted")).isEqualTo(Double.POSITIVE_INFINITY);
        assertThat(gauge("ksm.kernel.volatile")).isEqualTo(0.25);

        write("pages_shared", "2");
        write("pages_sharing", "6");
        passSecond();
        assertThat(gauge("ksm.kernel.sharing")).isEqualTo(3);
        assertThat(gauge("ksm.kernel.wasted")).isEqualTo(0.5);
    }

    @Test
    void gaugesOfMissingFilesAreNotANumber() throws IOException {
        write("full_scans", "7");
        metrics(root, root).bindTo(registry);
        Files.delete(file("pages_shared"));
        Files.delete(file("full_scans"));
        passSecond();
        assertThat(gauge("ksm.kernel.pages", "state", "shared")).isNaN();
        assertThat(gauge("ksm.kernel.used")).isNaN();
        assertThat(gauge("ksm.kernel.pages", "state", "sharing")).isZero();
        assertThat(counter("ksm.kernel.full.scans")).as("stays").isEqualTo(7);

        write("pages_shared", "5");
        write("full_scans", "8");
        passSecond();
        assertThat(gauge("ksm.kernel.pages", "state", "shared")).isEqualTo(5);
        assertThat(counter("ksm.kernel.full.scans")).isEqualTo(8);
    }

    /** The warnings logged until it is closed. */
    private static final class Warnings extends Handler {

        private final Logger logger = Logger.getLogger("io.ksm4j");
        final List<String> messages = new ArrayList<>();

        Warnings() {
            logger.addHandler(this);
            logger.setUseParentHandlers(false);
        }

        @Override
        public void publish(LogRecord logged) {
            if (logged.getLevel().intValue() >= Level.WARNING.intValue()) {
                messages.add(logged.getMessage());
            }
        }

        @Override
        public void flush() {}

        @Override
        public void close() {
            logger.removeHandler(this);
            logger.setUseParentHandlers(true);
        }
    }

    @Test
    void failedReadingsAreNotANumberAndLoggedOnce() {
        PrometheusMeterRegistry prometheus = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        KsmMetrics metrics = metrics(LINUX_6_18, REGIONS);
        metrics.bindTo(registry);
        metrics.bindTo(prometheus);
        Warnings warnings = new Warnings();
        try {
            failing.set(true);
            for (int scrape = 0; scrape < 3; scrape++) {
                passSecond();
                assertThat(gauge("ksm.kernel.pages", "state", "shared")).isNaN();
                assertThat(gauge("ksm.kernel.sharing")).isNaN();
                assertThat(gauge("ksm.kernel.scan.sleep")).isNaN();
                assertThat(gauge("ksm.process.merged")).isNaN();
                assertThat(gauge("ksm.regions.merged")).isNaN();
                assertThat(gauge("ksm.regions.open")).isZero();
                assertThat(counter("ksm.kernel.scanned")).isEqualTo(116327233);
                assertThat(prometheus.scrape())
                        .contains("ksm_kernel_saved_bytes NaN", "ksm_kernel_scanned_pages_total 1.16327233E8");
            }
            assertThat(warnings.messages)
                    .as("one each for kernel, process and regions")
                    .hasSize(3)
                    .allSatisfy(message -> assertThat(message).contains("a test", "as the test wants"));

            failing.set(false);
            passSecond();
            assertThat(gauge("ksm.kernel.sharing")).isEqualTo(63);
        } finally {
            warnings.close();
        }
    }

    @Test
    void bindingOmitsMetersOfUnreadableFiles() throws IOException {
        write("run", "garbage");
        Warnings warnings = new Warnings();
        try {
            metrics(root, LINUX_6_18).bindTo(registry);
            assertThat(warnings.messages)
                    .singleElement()
                    .satisfies(message -> assertThat(message).contains("garbage"));
        } finally {
            warnings.close();
        }
        assertThat(names())
                .containsExactly(
                        "ksm.process.merged", "ksm.process.pages", "ksm.process.profit", "ksm.process.rmap.items");
    }

    @Test
    void aScrapeReadsOnceForAllMetersAndRegistries() {
        PrometheusMeterRegistry prometheus = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        KsmMetrics metrics = metrics(LINUX_6_18, REGIONS);
        metrics.bindTo(registry);
        metrics.bindTo(prometheus);
        int kinds = 3;
        assertThat(reads).hasValue(kinds);
        for (int scrape = 2; scrape < 5; scrape++) {
            passSecond();
            assertThat(prometheus.scrape()).contains("ksm_kernel_saved_bytes 1.7334272E7");
            assertThat(gauge("ksm.kernel.saved")).isEqualTo(17334272);
            assertThat(gauge("ksm.process.merged")).isEqualTo(17596416);
            assertThat(gauge("ksm.regions.saved")).isEqualTo(400);
            assertThat(reads).hasValue(kinds * scrape);
        }
    }

    @Test
    void metersKeepWhatTheyNeedReachable() throws IOException {
        WeakReference<KsmMetrics> binder = bindAndForget();
        while (binder.get() != null) {
            System.gc();
        }
        write("pages_shared", "4");
        write("full_scans", "9");
        passSecond();
        assertThat(gauge("ksm.kernel.pages", "state", "shared")).isEqualTo(4);
        assertThat(counter("ksm.kernel.full.scans")).isEqualTo(9);
    }

    private WeakReference<KsmMetrics> bindAndForget() {
        KsmMetrics metrics = metrics(root, root);
        metrics.bindTo(registry);
        return new WeakReference<>(metrics);
    }

    @Test
    void aFallbackHasTheMetersOfTheRegistry() {
        Ksm ksm = Ksm.fallback();
        new KsmMetrics(ksm, Tags.of("app", "b")).bindTo(registry);
        assertThat(names().stream().filter(name -> name.startsWith("ksm.regions")))
                .containsExactly("ksm.regions.leaked", "ksm.regions.mergeable", "ksm.regions.open");
        try (MergeRegion region = ksm.allocate(ksm.pageSize())) {
            assertThat(gauge("ksm.regions.open", "app", "b")).isEqualTo(1);
            assertThat(gauge("ksm.regions.mergeable", "app", "b")).isEqualTo((double) region.size());
        }
        assertThat(gauge("ksm.regions.open", "app", "b")).isZero();
        assertThat(gauge("ksm.regions.mergeable", "app", "b")).isZero();
        assertThat(counter("ksm.regions.leaked", "app", "b")).isZero();
    }

    @Test
    void withoutAKsmThereAreNoMetersOfRegions() {
        new KsmMetrics().bindTo(registry);
        new KsmMetrics(Tags.of("app", "b")).bindTo(registry);
        assertThat(names()).noneMatch(name -> name.startsWith("ksm.regions"));
    }

    @Test
    void aNegativeIntervalIsRefused() {
        Ksm ksm = Ksm.fallback();
        assertThatThrownBy(() -> new KsmMetrics(ksm, List.of(), Duration.ofNanos(-1)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("PT-0.000000001S");
    }
}
