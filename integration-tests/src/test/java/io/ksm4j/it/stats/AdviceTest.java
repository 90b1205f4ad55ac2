// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.stats;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.KernelFiles;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.Finding.Kind;
import io.ksm4j.stats.Finding.Scope;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.testsupport.PageContents;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * Each problem that can be provoked on this kernel is found. Other processes may have marked memory, too, so there are
 * few assertions about the whole machine.
 */
@EnabledIfKsm(control = true)
class AdviceTest {

    private static final Path SYSFS = Path.of("/sys/kernel/mm/ksm");
    /** More than 16 MiB: there are no findings for less. */
    private static final int PAGES = 5000;

    private final Ksm ksm = Ksm.system();
    private final PageContents pages = PageContents.unique(ksm.pageSize());
    private final RunningKsmd ksmd;

    AdviceTest(RunningKsmd ksmd) {
        this.ksmd = ksmd;
    }

    private MergeRegion allocate() {
        return ksm.allocate(PAGES * ksm.pageSize(), RegionOptions.DEFAULT.withHugePages(HugePages.AVOID));
    }

    private static List<Finding> of(List<Finding> findings, Kind kind) {
        return findings.stream().filter(finding -> finding.kind() == kind).toList();
    }

    /** The counters of the machine include other processes, which may have marked memory, too. */
    private static List<Finding> notOfTheMachine(List<Finding> findings) {
        return findings.stream()
                .filter(finding -> finding.scope() != Scope.MACHINE)
                .toList();
    }

    @Test
    void mergedCopiesHaveNoFindings() throws InterruptedException {
        try (MergeRegion one = allocate();
                MergeRegion other = allocate()) {
            pages.fill(one.buffer(), page -> page);
            pages.fill(other.buffer(), page -> page);
            assertThat(ksm.awaitMerged(List.of(one, other), 1, PATIENCE).isReached())
                    .isTrue();
            List<Finding> findings = ksm.advice(Duration.ofHours(1));
            assertThat(notOfTheMachine(findings)).isEmpty();
            assertThat(findings)
                    .extracting(Finding::kind)
                    .doesNotContain(Kind.KSMD_STOPPED, Kind.SLOW_SCAN, Kind.HIDDEN);
        }
    }

    @Test
    void uniquePagesAreReportedAsWastedEffortAndLoss() throws InterruptedException {
        try (MergeRegion region = allocate()) {
            pages.fill(region.buffer(), page -> page);
            region.awaitMerged(1, PATIENCE);
            await().atMost(PATIENCE).untilAsserted(() -> {
                List<Finding> findings = ksm.advice();
                double profit = Double.parseDouble(KernelFiles.process("ksm_process_profit"));
                double machinesProfit = ksmd.read("general_profit");
                assertThat(notOfTheMachine(findings))
                        .extracting(Finding::kind, Finding::number)
                        .containsExactly(
                                tuple(Kind.NEGATIVE_PROFIT, profit),
                                tuple(Kind.WASTED_EFFORT, Double.POSITIVE_INFINITY));
                assertThat(of(findings, Kind.NEGATIVE_PROFIT))
                        .filteredOn(finding -> finding.scope() == Scope.MACHINE)
                        .extracting(Finding::number)
                        .isEqualTo(machinesProfit < 0 ? List.of(machinesProfit) : List.of());
            });
        }
    }

    @Test
    void smartScanDoesNotHideWastedEffort() throws InterruptedException, IOException {
        ksmd.set(KsmSetting.SMART_SCAN, 1);
        try (MergeRegion region = allocate()) {
            pages.fill(region.buffer(), page -> page);
            region.awaitMerged(1, PATIENCE);
            // ksmd is stopped at any point of its scan.
            ksmd.set(KsmSetting.RUN, 0);
            double inVain = (double) (ksmd.read("pages_unshared") + ksmd.read("pages_volatile"));
            assertThat(inVain).isGreaterThanOrEqualTo(PAGES);
            boolean wasted = inVain / ksmd.read("pages_sharing") > ksm.pageSize() / 64.0;
            assertThat(of(ksm.advice(), Kind.WASTED_EFFORT).stream()
                            .anyMatch(finding -> finding.scope() == Finding.Scope.MACHINE))
                    .isEqualTo(wasted);
        }
    }

    @Test
    void moreCopiesThanASharedPageMayHaveUsersAreFound() throws InterruptedException {
        try (MergeRegion region = ksm.allocate(
                2 * ksmd.read("max_page_sharing") * ksm.pageSize(),
                RegionOptions.DEFAULT.withHugePages(HugePages.AVOID))) {
            pages.fill(region.buffer(), page -> 0);
            region.awaitMerged(1, PATIENCE);
            // Other processes may have such pages, too, and may start and exit.
            await().untilAsserted(() -> assertThat(of(ksm.advice(), Kind.MAX_PAGE_SHARING))
                    .singleElement()
                    .satisfies(finding -> {
                        assertThat(finding.number()).isEqualTo((double) ksmd.read("stable_node_chains"));
                        assertThat(finding.explanation()).contains(" " + ksmd.read("max_page_sharing") + " ");
                    }));
        }
    }

    @Test
    void aScanThatTakesLongerThanDataLivesIsFound() throws IOException, InterruptedException {
        try (MergeRegion region = allocate()) {
            pages.fill(region.buffer(), page -> page % 2);
            region.awaitMerged(1, PATIENCE);
            ksmd.set(KsmSetting.PAGES_TO_SCAN, 1);
            ksmd.set(KsmSetting.SLEEP_MILLISECS, 1000);
            await().atMost(PATIENCE).untilAsserted(() -> {
                long seconds = 2 * knownPages();
                assertThat(of(ksm.advice(Duration.ofSeconds(seconds - 1)), Kind.SLOW_SCAN))
                        .extracting(Finding::number)
                        .containsExactly((double) seconds);
                assertThat(of(ksm.advice(Duration.ofSeconds(seconds)), Kind.SLOW_SCAN))
                        .isEmpty();
            });
        }
    }

    private long knownPages() {
        return Stream.of("pages_shared", "pages_sharing", "pages_unshared", "pages_volatile")
                .mapToLong(ksmd::read)
                .sum();
    }

    @Test
    void hugePagesInMarkedMemoryAreFound() throws IOException {
        // ksmd would split them during the test.
        ksmd.set(KsmSetting.RUN, 0);
        RegionOptions huge =
                RegionOptions.DEFAULT.withHugePages(HugePages.ALLOW).withPopulate(true);
        try (MergeRegion region = ksm.allocate(8 << 20, huge)) {
            long bytes = region.stats().hugeBytes();
            assumeTrue(
                    bytes > 0, "this machine gives no huge pages now: they are switched off, or memory is fragmented");
            assertThat(of(ksm.advice(), Kind.HUGE_PAGES))
                    .singleElement()
                    .satisfies(finding -> assertThat(finding.number()).isEqualTo((double) bytes));
        }
    }

    @Test
    void aStoppedKsmdIsFound() throws IOException {
        ksmd.set(KsmSetting.RUN, 0);
        assertThat(of(ksm.advice(), Kind.KSMD_STOPPED)).hasSize(1);
        assertThat(of(ksm.advice(), Kind.NO_PERMISSION)).isEmpty();
    }

    /** In a container, {@code /sys} may be read-only or hidden. */
    @Test
    void restrictionsOfAContainerAreFound() throws IOException {
        ksmd.set(KsmSetting.RUN, 0);
        assertThat(adviceWhere("mount --bind " + SYSFS + " " + SYSFS + " && mount -o remount,bind,ro " + SYSFS))
                .contains("KSMD_STOPPED", "NO_PERMISSION")
                .contains("this process has no permission");
        assertThat(adviceWhere("mount -t tmpfs none " + SYSFS.getParent()))
                .contains("HIDDEN", "although the kernel has KSM")
                .doesNotContain("KSMD_STOPPED", "NO_PERMISSION");
    }

    private static String adviceWhere(String mounted) {
        return ChildJvm.run(
                        List.of("unshare", "--mount", "sh", "-c", mounted + " && exec \"$0\" \"$@\""),
                        Advice.class,
                        List.of())
                .assertEndedWell()
                .output();
    }

    /** Prints the findings. */
    static final class Advice {

        private Advice() {}

        public static void main(String[] args) {
            Ksm ksm = Ksm.system();
            System.out.println(KsmStats.read().isAvailable());
            ksm.advice().forEach(System.out::println);
        }
    }

    @Test
    void aNegativeLifetimeIsRefused() {
        assertThatThrownBy(() -> ksm.advice(Duration.ofSeconds(-1))).isInstanceOf(IllegalArgumentException.class);
    }
}
