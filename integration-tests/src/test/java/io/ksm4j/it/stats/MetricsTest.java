// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.stats;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import com.sun.net.httpserver.HttpServer;
import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.it.fixtures.PageCounts;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.micrometer.KsmMetrics;
import io.ksm4j.testsupport.PageContents;
import io.micrometer.core.instrument.Tags;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The metrics that a Prometheus server would get from this machine. */
@EnabledIfKsm(control = true)
class MetricsTest {

    private static final int PAGES = 256;

    private final Ksm ksm = Ksm.system();
    private final PageContents pages = PageContents.unique(ksm.pageSize());

    /** Offers metrics on a local port, and scrapes them. */
    private static Map<String, Double> scrape(PrometheusMeterRegistry registry) {
        try {
            HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
            server.createContext("/metrics", exchange -> {
                byte[] text = registry.scrape().getBytes(StandardCharsets.UTF_8);
                exchange.sendResponseHeaders(200, text.length);
                exchange.getResponseBody().write(text);
                exchange.close();
            });
            server.start();
            try (HttpClient client = HttpClient.newHttpClient()) {
                URI address = URI.create("http://" + server.getAddress().getHostString() + ":"
                        + server.getAddress().getPort() + "/metrics");
                HttpResponse<String> response =
                        client.send(HttpRequest.newBuilder(address).build(), HttpResponse.BodyHandlers.ofString());
                assertThat(response.statusCode()).isEqualTo(200);
                return samples(response.body());
            } finally {
                server.stop(0);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Leaves out the label that all samples have. */
    private static Map<String, Double> samples(String text) {
        Map<String, Double> samples = new HashMap<>();
        text.lines().filter(line -> !line.startsWith("#")).forEach(line -> {
            int end = line.lastIndexOf(' ');
            assertThat(line).contains("app=\"prices\"");
            String name = line.substring(0, end).replace("app=\"prices\",", "").replace("{app=\"prices\"}", "");
            String value = line.substring(end + 1);
            samples.put(name, value.equals("+Inf") ? Double.POSITIVE_INFINITY : Double.parseDouble(value));
        });
        return samples;
    }

    private PrometheusMeterRegistry bound(Duration regionsInterval) {
        PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        new KsmMetrics(ksm, Tags.of("app", "prices"), regionsInterval).bindTo(registry);
        return registry;
    }

    private MergeRegion allocate(Marking marking) {
        return ksm.allocate(
                PAGES * ksm.pageSize(),
                RegionOptions.DEFAULT.withMarking(marking).withHugePages(HugePages.AVOID));
    }

    /** Returns the contents of the files, by the names of the samples. */
    private Map<String, Double> readFiles(RunningKsmd ksmd) throws IOException {
        Map<String, Double> numbers = new HashMap<>();
        double page = ksm.pageSize();
        double shared = ksmd.read("pages_shared");
        double sharing = ksmd.read("pages_sharing");
        double unshared = ksmd.read("pages_unshared");
        double changing = ksmd.read("pages_volatile");
        double zero = ksmd.read("ksm_zero_pages");
        numbers.put("ksm_kernel_pages{state=\"shared\"}", shared);
        numbers.put("ksm_kernel_pages{state=\"sharing\"}", sharing);
        numbers.put("ksm_kernel_pages{state=\"unshared\"}", unshared);
        numbers.put("ksm_kernel_pages{state=\"volatile\"}", changing);
        numbers.put("ksm_kernel_zero_pages", zero);
        numbers.put("ksm_kernel_saved_bytes", (sharing + zero) * page);
        numbers.put("ksm_kernel_used_bytes", shared * page);
        numbers.put("ksm_kernel_sharing_ratio", sharing / shared);
        numbers.put("ksm_kernel_wasted_ratio", unshared / sharing);
        numbers.put("ksm_kernel_volatile_ratio", changing / (shared + sharing + unshared + changing));
        numbers.put("ksm_kernel_run", (double) ksmd.read("run"));
        numbers.put("ksm_kernel_scan_batch_pages", (double) ksmd.read("pages_to_scan"));
        numbers.put("ksm_kernel_scan_sleep_seconds", ksmd.read("sleep_millisecs") / 1000.0);
        numbers.put("ksm_kernel_full_scans_total", (double) ksmd.read("full_scans"));
        numbers.put("ksm_kernel_scanned_pages_total", (double) ksmd.read("pages_scanned"));
        numbers.put("ksm_kernel_skipped_pages_total", (double) ksmd.read("pages_skipped"));
        numbers.put("ksm_kernel_profit_bytes", (double) ksmd.read("general_profit"));
        Path vmstat = Path.of("/proc/vmstat");
        numbers.put("ksm_kernel_copied_pages_total{cause=\"write\"}", value(vmstat, "cow_ksm"));
        numbers.put("ksm_kernel_copied_pages_total{cause=\"swapin\"}", value(vmstat, "ksm_swpin_copy"));
        Path process = Path.of("/proc/self/ksm_stat");
        double merged = value(process, "ksm_merging_pages");
        double processZero = value(process, "ksm_zero_pages");
        numbers.put("ksm_process_pages{state=\"merged\"}", merged);
        numbers.put("ksm_process_pages{state=\"zero\"}", processZero);
        numbers.put("ksm_process_merged_bytes", (merged + processZero) * page);
        numbers.put("ksm_process_rmap_items", value(process, "ksm_rmap_items"));
        numbers.put("ksm_process_profit_bytes", value(process, "ksm_process_profit"));
        return numbers;
    }

    private static double value(Path file, String name) throws IOException {
        return Files.readAllLines(file).stream()
                .filter(line -> line.startsWith(name + " "))
                .mapToLong(line -> Long.parseLong(line.substring(name.length() + 1)))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void aScrapeMatchesTheFilesOfTheKernel(RunningKsmd ksmd) throws Exception {
        double alreadyOpen = ksm.registry().openRegions();
        try (MergeRegion one = allocate(Marking.MERGEABLE);
                MergeRegion other = allocate(Marking.MERGEABLE);
                MergeRegion unmarked = allocate(Marking.UNMERGEABLE)) {
            // Half of the pages are equal in both regions.
            pages.fill(one.buffer(), page -> page);
            pages.fill(other.buffer(), page -> page < PAGES / 2 ? page : -page);
            pages.fill(unmarked.buffer(), page -> page);
            assertThat(ksm.awaitMerged(List.of(one, other), 0.5, PATIENCE).isReached())
                    .isTrue();
            ksmd.set(KsmSetting.RUN, 0);

            // Other processes of this machine may change the numbers in between: then the comparison is repeated.
            Map<String, Double> scraped = await().until(
                            () -> {
                                Map<String, Double> before = readFiles(ksmd);
                                Map<String, Double> samples = scrape(bound(Duration.ofSeconds(30)));
                                samples.put("quiet", before.equals(readFiles(ksmd)) ? 1.0 : 0.0);
                                return samples;
                            },
                            samples -> samples.get("quiet") == 1);

            assertThat(scraped).containsAllEntriesOf(readFiles(ksmd));
            assertThat(scraped).containsEntry("ksm_kernel_run", 0.0);
            assertThat(scraped.get("ksm_process_pages{state=\"merged\"}")).isEqualTo(PAGES);

            PageCounts inOne = PageCounts.of(one.range(), ksm.pageSize());
            PageCounts inOther = PageCounts.of(other.range(), ksm.pageSize());
            assertThat(scraped)
                    .containsEntry("ksm_regions_mergeable_bytes", (double) (one.size() + other.size()))
                    .containsEntry("ksm_regions_resident_bytes", (double) (inOne.resident() + inOther.resident()))
                    .containsEntry("ksm_regions_merged_bytes", (double) (inOne.merged() + inOther.merged()))
                    .containsEntry("ksm_regions_merged_bytes", (double) (PAGES * ksm.pageSize()))
                    .containsEntry("ksm_regions_zero_bytes", 0.0)
                    .containsEntry("ksm_regions_huge_bytes", 0.0)
                    .containsEntry("ksm_regions_open_regions", alreadyOpen + 3)
                    .containsKey("ksm_regions_leaked_regions_total");
            // The kernel rounds the proportional size of a mapping down to kilobytes.
            assertThat(scraped.get("ksm_regions_saved_bytes"))
                    .isCloseTo(inOne.saved() + inOther.saved(), within(2 * 1024.0));
            assertThat(scraped).as("all samples").hasSize(readFiles(ksmd).size() + 8 + 1);
        }
    }

    @Tag("long")
    @Test
    void numbersOfRegionsAreCachedForTheirInterval() {
        double alreadyOpen = ksm.registry().openRegions();
        PrometheusMeterRegistry kept = bound(Duration.ofDays(1));
        PrometheusMeterRegistry fresh = bound(Duration.ZERO);
        assertThat(scrape(kept)).containsEntry("ksm_regions_resident_bytes", 0.0);
        try (MergeRegion region = allocate(Marking.MERGEABLE)) {
            pages.fill(region.buffer(), page -> page);
            await().untilAsserted(() -> assertThat(scrape(fresh))
                    .containsEntry("ksm_regions_resident_bytes", (double) region.size())
                    .containsEntry("ksm_regions_open_regions", alreadyOpen + 1));
            assertThat(scrape(kept))
                    .containsEntry("ksm_regions_resident_bytes", 0.0)
                    .containsEntry("ksm_regions_open_regions", alreadyOpen + 1);
        }
    }
}
