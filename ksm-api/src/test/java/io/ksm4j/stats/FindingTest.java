// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.ksm4j.stats.Finding.Kind;
import io.ksm4j.stats.Finding.Scope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FindingTest {

    private static final long PAGE = 4096;
    private static final long PID = 7;

    @TempDir
    Path root;

    private RegionStats regions =
            new RegionStats(1 << 20, 1 << 20, OptionalLong.of(1 << 20), OptionalLong.of(0), 0, 1 << 19);

    /** Writes the statistics of a machine and a process without any findings. */
    @BeforeEach
    void write() throws IOException {
        Files.createDirectories(root.resolve("sys/kernel/mm/ksm"));
        Files.createDirectories(root.resolve("proc/" + PID));
        sysfs("run", 1);
        sysfs("pages_to_scan", 100);
        sysfs("sleep_millisecs", 20);
        sysfs("max_page_sharing", 256);
        sysfs("pages_shared", 1000);
        sysfs("pages_sharing", 9000);
        sysfs("pages_unshared", 5000);
        sysfs("pages_volatile", 5000);
        sysfs("stable_node_chains", 0);
        process("ksm_rmap_items 10000\nksm_merging_pages 5000\nksm_zero_pages 0\n");
    }

    private void sysfs(String file, long number) throws IOException {
        Files.writeString(root.resolve("sys/kernel/mm/ksm").resolve(file), number + "\n");
    }

    private void process(String ksmStat) throws IOException {
        Files.writeString(root.resolve("proc/" + PID + "/ksm_stat"), ksmStat);
    }

    private List<Finding> findings(Optional<Duration> life) {
        return Finding.of(KsmStats.read(root, PAGE), ProcessKsmStats.read(root, PID, PAGE), regions, life);
    }

    private List<Finding> findings() {
        return findings(Optional.empty());
    }

    private Finding only(Kind kind) {
        assertThat(findings()).extracting(Finding::kind).containsExactly(kind);
        return findings().get(0);
    }

    @Test
    void findsNothingIfThereIsNoProblem() {
        assertThat(findings()).isEmpty();
        assertThat(findings(Optional.of(Duration.ofMinutes(1)))).isEmpty();
    }

    @Test
    void findsAStoppedKsmd() throws IOException {
        sysfs("run", 2);
        Finding finding = only(Kind.KSMD_STOPPED);
        assertThat(finding.number()).isEqualTo(2);
        assertThat(finding.explanation()).contains("run is 2").contains("write 1 to /sys/kernel/mm/ksm/run");
    }

    @Test
    void findsWastedEffortOnlyAboveTheDocumentsLimit() throws IOException {
        sysfs("pages_volatile", 0);
        sysfs("pages_unshared", 64 * 9000);
        assertThat(findings()).extracting(Finding::kind).doesNotContain(Kind.WASTED_EFFORT);
        sysfs("pages_unshared", 64 * 9000 + 1);
        assertThat(findings())
                .filteredOn(finding -> finding.kind() == Kind.WASTED_EFFORT)
                .singleElement()
                .satisfies(finding -> {
                    assertThat(finding.scope()).isEqualTo(Scope.MACHINE);
                    assertThat(finding.limit()).isEqualTo(64);
                    assertThat(finding.number()).isGreaterThan(64);
                    assertThat(finding.explanation()).contains("64");
                });
    }

    /** Pages that it skips are counted as volatile in most scans, and as unshared in the others. */
    @Test
    void findsWastedEffortUnderSmartScan() throws IOException {
        sysfs("pages_unshared", 0);
        sysfs("pages_volatile", 64 * 9000 + 1);
        assertThat(findings()).extracting(Finding::kind).doesNotContain(Kind.WASTED_EFFORT);
        sysfs("smart_scan", 1);
        assertThat(findings()).extracting(Finding::kind).contains(Kind.WASTED_EFFORT);
        assertThat(findings())
                .filteredOn(finding -> finding.kind() == Kind.VOLATILE_PAGES)
                .singleElement()
                .satisfies(finding -> assertThat(finding.explanation()).contains("skipped by smart_scan"));
    }

    /** Pages merged with the zero page ({@code use_zero_pages}) have no record, and are in neither other counter. */
    @Test
    void zeroPagesAreNotWastedEffort() throws IOException {
        sysfs("pages_sharing", 0);
        sysfs("pages_volatile", 0);
        sysfs("ksm_zero_pages", 100_000);
        process("ksm_rmap_items 5000\nksm_merging_pages 0\nksm_zero_pages 100000\n");
        assertThat(findings()).isEmpty();
    }

    @Test
    void findsAProcessWhoseRecordsCostMoreThanItSaves() throws IOException {
        process("ksm_rmap_items 65000\nksm_merging_pages 1000\nksm_zero_pages 0\n");
        assertThat(findings())
                .extracting(Finding::kind, Finding::scope, Finding::number)
                .containsExactly(
                        tuple(Kind.NEGATIVE_PROFIT, Scope.PROCESS, -64_000.0),
                        tuple(Kind.WASTED_EFFORT, Scope.PROCESS, 65.0));
        List<Finding> withLargerPages = Finding.of(
                KsmStats.read(root, 65536), ProcessKsmStats.read(root, PID, 65536), regions, Optional.empty());
        assertThat(withLargerPages).isEmpty();
    }

    @Test
    void findsPagesThatChangeTooFast() throws IOException {
        sysfs("pages_volatile", 15001);
        Finding finding = only(Kind.VOLATILE_PAGES);
        assertThat(finding.number()).isEqualTo(15001 / 30001.0);
        assertThat(finding.limit()).isEqualTo(0.5);
        assertThat(finding.explanation()).startsWith("50 % of the marked pages changed between two scans: mark ");
        sysfs("pages_volatile", 15000);
        assertThat(findings()).isEmpty();
    }

    @Test
    void findsANegativeProfit() throws IOException {
        sysfs("pages_shared", 10);
        sysfs("pages_sharing", 100);
        sysfs("pages_unshared", 6400);
        sysfs("pages_volatile", 0);
        Finding finding = only(Kind.NEGATIVE_PROFIT);
        assertThat(finding.number()).isEqualTo(100 * 4096 - 6510 * 64);
        assertThat(finding.explanation()).startsWith("merging costs 6.9 KiB more than it saves: ");
    }

    @Test
    void doesNotJudgeFewPages() throws IOException {
        sysfs("pages_shared", 0);
        sysfs("pages_sharing", 0);
        sysfs("pages_unshared", 1000);
        sysfs("pages_volatile", 3095);
        process("ksm_rmap_items 4095\nksm_merging_pages 0\nksm_zero_pages 0\n");
        assertThat(findings()).isEmpty();

        sysfs("pages_volatile", 3096);
        process("ksm_rmap_items 4096\nksm_merging_pages 0\nksm_zero_pages 0\n");
        assertThat(findings())
                .extracting(Finding::kind, Finding::scope)
                .containsExactly(
                        tuple(Kind.NEGATIVE_PROFIT, Scope.MACHINE),
                        tuple(Kind.NEGATIVE_PROFIT, Scope.PROCESS),
                        tuple(Kind.WASTED_EFFORT, Scope.MACHINE),
                        tuple(Kind.WASTED_EFFORT, Scope.PROCESS),
                        tuple(Kind.VOLATILE_PAGES, Scope.MACHINE));
        assertThat(findings()).extracting(Finding::explanation).noneMatch(text -> text.contains("Infinity"));
        assertThat(findings().get(3).explanation())
                .startsWith("ksmd has scanned 16.0 MiB, and none of it has merged: ");
        assertThat(findings().get(4).explanation()).startsWith("76 % of the marked pages ");
    }

    @Test
    void findsDataThatIsGoneBeforeTwoScans() throws IOException {
        // 20,000 pages, 100 per 20 ms: 4 s per scan.
        assertThat(findings(Optional.of(Duration.ofSeconds(8)))).isEmpty();
        Finding finding = findings(Optional.of(Duration.ofMillis(7999))).get(0);
        assertThat(finding.kind()).isEqualTo(Kind.SLOW_SCAN);
        assertThat(finding.number()).isEqualTo(8);
        assertThat(finding.limit()).isEqualTo(7.999);
        sysfs("pages_to_scan", 0);
        assertThat(findings(Optional.of(Duration.ofDays(10_000))))
                .extracting(Finding::kind, Finding::number)
                .containsExactly(tuple(Kind.SLOW_SCAN, Double.POSITIVE_INFINITY));
        assertThat(findings(Optional.of(Duration.ofDays(10_000))).get(0).explanation())
                .isEqualTo("ksmd scans no pages because pages_to_scan is 0: raise it");
    }

    @Test
    void findsContentsWithMoreCopiesThanMayShareAPage() throws IOException {
        sysfs("stable_node_chains", 3);
        Finding finding = only(Kind.MAX_PAGE_SHARING);
        assertThat(finding.number()).isEqualTo(3);
        assertThat(finding.explanation()).contains("3 contents").contains("256");
    }

    @Test
    void findsHugePages() {
        regions = new RegionStats(4 << 20, 4 << 20, OptionalLong.of(0), OptionalLong.of(0), 2 << 20, 0);
        Finding finding = only(Kind.HUGE_PAGES);
        assertThat(finding.scope()).isEqualTo(Scope.REGIONS);
        assertThat(finding.number()).isEqualTo(2 << 20);
        assertThat(finding.explanation()).startsWith("2.0 MiB of marked memory is in huge pages");
    }

    @Test
    void distinguishesHiddenSettingsFromAKernelWithoutKsm() throws IOException {
        Files.move(root.resolve("sys/kernel/mm/ksm"), root.resolve("sys/kernel/mm/hidden"));
        assertThat(only(Kind.HIDDEN).explanation()).contains("hidden, although the kernel has KSM");
        Files.delete(root.resolve("proc/" + PID + "/ksm_stat"));
        assertThat(only(Kind.HIDDEN).explanation()).contains("CONFIG_KSM");
    }

    @Test
    void ignoresValuesTheKernelDoesNotReport() throws IOException {
        for (String file : List.of("stable_node_chains", "max_page_sharing", "pages_volatile", "pages_unshared")) {
            Files.delete(root.resolve("sys/kernel/mm/ksm").resolve(file));
        }
        Files.delete(root.resolve("proc/" + PID + "/ksm_stat"));
        assertThat(findings(Optional.of(Duration.ZERO))).isEmpty();
    }
}
