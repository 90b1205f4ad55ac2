// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.internal.linux.KernelText;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KsmStatsTest {

    @TempDir
    Path root;

    private Tree tree() {
        return new Tree(root);
    }

    private Tree tree(long shared, long sharing, long unshared, long changing) {
        return tree().withKsm("pages_shared", shared + "\n")
                .withKsm("pages_sharing", sharing + "\n")
                .withKsm("pages_unshared", unshared + "\n")
                .withKsm("pages_volatile", changing + "\n");
    }

    @Test
    void allValuesAreAbsentWithoutKsm() {
        KsmStats stats = tree().stats();
        assertThat(stats.isAvailable()).isFalse();
        assertThat(stats.files()).isEmpty();
        assertThat(stats.run()).isEmpty();
        assertThat(stats.advisorMode()).isEmpty();
        assertThat(stats.cowKsm()).isEmpty();
        assertThat(stats.savedBytes()).isEmpty();
        assertThat(stats.usedBytes()).isEmpty();
        assertThat(stats.rmapItems()).isEmpty();
        assertThat(stats.profitBytes()).isEmpty();
        assertThat(stats.generalProfit()).isEmpty();
        assertThat(stats.sharingRatio()).isEmpty();
        assertThat(stats.wastedEffort()).isEmpty();
        assertThat(stats.volatileShare()).isEmpty();
        assertThat(stats.fullScanTime()).isEmpty();
        KsmActivity activity = tree().stats().since(stats);
        assertThat(activity.pagesScanned()).isEmpty();
        assertThat(activity.pagesPerSecond()).isEmpty();
        assertThat(activity.fullScanTime()).isEmpty();
    }

    @Test
    void fileInPlaceOfTheDirectoryCountsAsMissing() throws IOException {
        Files.createDirectories(root.resolve("sys/kernel/mm"));
        Files.writeString(root.resolve("sys/kernel/mm/ksm"), "1\n");
        assertThat(tree().stats().isAvailable()).isFalse();
    }

    @Test
    void readsVmstatAndKsmIndependently() {
        tree().withVmstat("cow_ksm 5\n");
        assertThat(tree().stats().isAvailable()).isFalse();
        assertThat(tree().stats().cowKsm()).hasValue(5);

        Tree withoutVmstat = new Tree(root.resolve("other")).withKsm("run", "1\n");
        assertThat(withoutVmstat.stats().isAvailable()).isTrue();
        assertThat(withoutVmstat.stats().run()).hasValue(1);
        assertThat(withoutVmstat.stats().cowKsm()).isEmpty();
    }

    @Test
    void ignoresAnythingButRegularFiles() throws IOException {
        tree().withKsm("run", "1\n");
        Files.createDirectories(tree().ksm().resolve("pages_shared"));
        Files.createSymbolicLink(tree().ksm().resolve("pages_sharing"), Path.of("nowhere"));
        Files.createSymbolicLink(tree().ksm().resolve("full_scans"), Path.of("full_scans"));
        Files.createSymbolicLink(tree().ksm().resolve("sleep_millisecs"), Path.of("run"));
        assertThat(tree().stats().files()).containsOnlyKeys("run", "sleep_millisecs");
    }

    @Test
    void valuesOfEmptyFilesAreAbsent() {
        tree().withKsm("run", "")
                .withKsm("advisor_mode", "")
                .withKsm("unknown", "")
                .withVmstat("");
        KsmStats stats = tree().stats();
        assertThat(stats.files())
                .hasSize(3)
                .allSatisfy((name, text) -> assertThat(text).isEmpty());
        assertThat(stats.run()).isEmpty();
        assertThat(stats.advisorMode()).isEmpty();
        assertThat(stats.cowKsm()).isEmpty();
    }

    @Test
    void filesAreSortedAndUnmodifiable() {
        tree().withKsm("run", "1\n").withKsm("advisor_mode", "[none] scan-time\n");
        assertThat(tree().stats().files().keySet()).containsExactly("advisor_mode", "run");
        assertThatThrownBy(() -> tree().stats().files().put("run", "2"))
                .isInstanceOf(UnsupportedOperationException.class);
    }

    @ParameterizedTest
    @ValueSource(strings = {"none scan-time\n", "[none scan-time\n", "]none[\n", "\n\n"})
    void choiceWithoutBracketsIsAnError(String text) {
        tree().withKsm("advisor_mode", text);
        assertThatThrownBy(() -> tree().stats())
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("advisor_mode")
                .hasMessageContaining("in brackets");
    }

    @Test
    void endlessFileIsAnError() throws IOException {
        Files.createDirectories(root.resolve("proc"));
        Files.createSymbolicLink(root.resolve("proc/vmstat"), Path.of("/dev/zero"));
        assertThatThrownBy(() -> tree().stats())
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("proc/vmstat")
                .hasMessageContaining("1048576 bytes");
    }

    @Test
    void unreadableFileIsAnErrorThatNamesIt() throws IOException {
        Files.createDirectories(root.resolve("proc/vmstat"));
        assertThatThrownBy(() -> tree().stats())
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("cannot read " + root.resolve("proc/vmstat"));
    }

    @Test
    void omitsUnknownFilesThatCannotBeRead() {
        String tooLong = "1".repeat(2 << 20);
        tree().withKsm("run", "1\n").withKsm("of_a_later_kernel", tooLong);
        assertThat(tree().stats().files()).containsOnlyKeys("run");
        tree().withKsm("full_scans", tooLong);
        assertThatThrownBy(() -> tree().stats())
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("full_scans");
    }

    @Test
    void readsVmstatLongerThanTheBuffer() {
        String others = "nr_something_or_other 1234567890\n".repeat(2000);
        tree().withVmstat(others + "cow_ksm 77\n");
        assertThat(tree().stats().cowKsm()).hasValue(77);
        tree().withVmstat(others.substring(0, KernelText.BUFFER - 4) + "\ncow_ksm 78\nksm_swpin_copy 79\n");
        assertThat(tree().stats().cowKsm()).hasValue(78);
        assertThat(tree().stats().ksmSwpinCopy()).hasValue(79);
    }

    @Test
    void firstOfSeveralLinesWithOneNameCounts() {
        tree().withVmstat("cow_ksm 1\ncow_ksm 2\n").withProcess("ksm_stat", "ksm_rmap_items 3\nksm_rmap_items 4\n");
        assertThat(tree().stats().cowKsm()).hasValue(1);
        assertThat(tree().process().rmapItems()).hasValue(3);
    }

    @Test
    void interruptedThreadCanRead() {
        tree().withKsm("run", "1\n");
        Thread.currentThread().interrupt();
        try {
            assertThat(tree().stats().run()).hasValue(1);
        } finally {
            assertThat(Thread.interrupted()).isTrue();
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {0, -1, -4096, 4097, Long.MIN_VALUE})
    void rejectsAPageSizeThatIsNoPowerOfTwo(long pageSize) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> KsmStats.read(root, pageSize))
                .withMessageContaining(Long.toString(pageSize));
        tree().withProcess("ksm_stat", "");
        assertThatIllegalArgumentException().isThrownBy(() -> ProcessKsmStats.read(root, 1, pageSize));
    }

    @ParameterizedTest
    @ValueSource(longs = {4096, 16_384, 65_536})
    void computesBytesFromTheMachinesPageSize(long page) {
        tree(10, 90, 0, 0).withKsm("ksm_zero_pages", "5\n");
        KsmStats stats = KsmStats.read(root, page);
        assertThat(stats.usedBytes()).hasValue(10 * page);
        assertThat(stats.savedBytes()).hasValue(95 * page);
        assertThat(stats.profitBytes()).hasValue(95 * page - 100 * 64);
    }

    @Test
    void ratioToZeroIsInfiniteAndOfTwoZerosAbsent() {
        KsmStats nothing = tree(0, 0, 0, 0).stats();
        assertThat(nothing.sharingRatio()).isEmpty();
        assertThat(nothing.wastedEffort()).isEmpty();
        assertThat(nothing.volatileShare()).isEmpty();
        assertThat(nothing.savedBytes()).hasValue(0);

        KsmStats inVain = tree(0, 0, 7, 0).stats();
        assertThat(inVain.wastedEffort()).hasValue(Double.POSITIVE_INFINITY);
        assertThat(inVain.volatileShare()).hasValue(0);
        assertThat(inVain.profitBytes()).hasValue(-7 * 64);
    }

    @Test
    void valuesThatDoNotFitAreAbsent() {
        long most = Long.MAX_VALUE;
        KsmStats stats = tree(most, most, most, 0)
                .withKsm("ksm_zero_pages", "1\n")
                .withKsm("pages_to_scan", "1\n")
                .withKsm("sleep_millisecs", "4294967295\n")
                .stats();
        assertThat(stats.pagesShared()).hasValue(most);
        assertThat(stats.rmapItems()).isEmpty();
        assertThat(stats.usedBytes()).isEmpty();
        assertThat(stats.savedBytes()).isEmpty();
        assertThat(stats.profitBytes()).isEmpty();
        assertThat(stats.volatileShare()).isEmpty();
        assertThat(stats.sharingRatio()).hasValue(1);
        assertThat(tree(most, 0, 0, 0).stats().fullScanTime()).isEmpty();
        assertThat(tree(most, 0, 0, 0).stats().profitBytes()).isEmpty();
    }

    @Test
    void savedBytesAreAbsentIfTheZeroPageCounterHasWrapped() {
        tree(1, 1, 0, 0).withKsm("ksm_zero_pages", "18446744073709551615\n");
        assertThat(tree().stats().ksmZeroPages()).isEmpty();
        assertThat(tree().stats().savedBytes()).isEmpty();
        tree().withKsm("ksm_zero_pages", "-1\n");
        assertThat(tree().stats().ksmZeroPages()).isEmpty();
        assertThat(tree().stats().savedBytes()).isEmpty();
    }

    @Test
    void fullScanTimeIsTheTimeKsmdSleeps() {
        tree(1, 2, 300, 98).withKsm("pages_to_scan", "100\n").withKsm("sleep_millisecs", "20\n");
        assertThat(tree().stats().fullScanTime()).hasValue(Duration.ofMillis(5 * 20));
        tree().withKsm("pages_volatile", "97\n");
        assertThat(tree().stats().fullScanTime()).hasValue(Duration.ofMillis(4 * 20));
        tree().withKsm("sleep_millisecs", "0\n");
        assertThat(tree().stats().fullScanTime()).hasValue(Duration.ZERO);
        tree().withKsm("pages_to_scan", "0\n");
        assertThat(tree().stats().fullScanTime()).isEmpty();
        assertThat(tree(0, 0, 0, 0).withKsm("pages_to_scan", "100\n").stats().fullScanTime())
                .hasValue(Duration.ZERO);
    }

    @Test
    void activityIsTheDifferenceBetweenTwoReadings() {
        tree(1, 2, 300, 97)
                .withKsm("pages_scanned", "1000\n")
                .withKsm("pages_skipped", "10\n")
                .withKsm("full_scans", "5\n")
                .withVmstat("cow_ksm 3\n");
        KsmStats before = tree().stats();
        tree().withKsm("pages_scanned", "5000\n")
                .withKsm("pages_skipped", "10\n")
                .withKsm("full_scans", "9\n")
                .withVmstat("cow_ksm 4\n");
        KsmActivity activity = tree().stats().since(before);
        assertThat(activity.pagesScanned()).hasValue(4000);
        assertThat(activity.pagesSkipped()).hasValue(0);
        assertThat(activity.fullScans()).hasValue(4);
        assertThat(activity.copiesOnWrite()).hasValue(1);
        assertThat(activity.rmapItems()).hasValue(400);
        assertThat(activity.duration()).isPositive();
        assertThat(before.since(before).duration()).isZero();
    }

    @Test
    void differenceOfADecreasedCounterIsAbsent() {
        KsmStats before = tree().withKsm("full_scans", "5\n").stats();
        KsmStats after = tree().withKsm("full_scans", "4\n").stats();
        assertThat(after.since(before).fullScans()).isEmpty();
    }

    @Test
    void rejectsReadingsInTheWrongOrderOrOfOtherTrees() {
        KsmStats before = tree().stats();
        KsmStats after = tree().stats();
        assertThatIllegalArgumentException().isThrownBy(() -> before.since(after));
        KsmStats other = new Tree(root.resolve("other")).stats();
        assertThatIllegalArgumentException()
                .isThrownBy(() -> other.since(after))
                .withMessageContaining(root.toString());
        KsmStats same = new Tree(root.resolve("other/..")).stats();
        assertThat(same.since(after).fullScans()).isEmpty();
    }

    private static KsmActivity activity(Duration duration, long scanned, long skipped, long fullScans, long items) {
        return new KsmActivity(
                duration,
                OptionalLong.of(scanned),
                OptionalLong.of(skipped),
                OptionalLong.of(fullScans),
                OptionalLong.empty(),
                OptionalLong.of(items));
    }

    @Test
    void scanRateIsInPagesPerSecond() {
        Duration twoAndAHalf = Duration.ofMillis(2500);
        assertThat(activity(twoAndAHalf, 5000, 900, 0, 0).pagesPerSecond()).hasValue(2000);
        assertThat(activity(twoAndAHalf, 0, 0, 0, 0).pagesPerSecond()).hasValue(0);
        assertThat(activity(Duration.ZERO, 5000, 0, 0, 0).pagesPerSecond()).isEqualTo(OptionalDouble.empty());
    }

    @Test
    void fullScanTimeIsObservedOrExtrapolated() {
        Duration second = Duration.ofSeconds(1);
        assertThat(activity(second, 1000, 0, 4, 99).fullScanTime()).hasValue(Duration.ofMillis(250));
        assertThat(activity(second, 1000, 0, 0, 30_000).fullScanTime()).hasValue(Duration.ofSeconds(30));
        assertThat(activity(second, 1000, 500, 0, 30_000).fullScanTime()).hasValue(Duration.ofSeconds(20));
        for (KsmActivity unknown : List.of(
                activity(second, 0, 0, 0, 30_000),
                activity(second, 0, 0, 0, 0),
                activity(Duration.ZERO, 1000, 0, 0, 30_000),
                activity(second, 1, 0, 0, Long.MAX_VALUE))) {
            assertThat(unknown.fullScanTime()).as(unknown.toString()).isEqualTo(Optional.empty());
        }
    }
}
