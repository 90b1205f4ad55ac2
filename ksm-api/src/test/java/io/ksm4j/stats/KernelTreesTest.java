// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Old and new kernels: values that a kernel reports are read, and all others are absent. */
class KernelTreesTest {

    @ParameterizedTest
    @FieldSource("io.ksm4j.stats.Tree#KERNELS")
    void readsEveryFileOfEveryKernel(String kernel) throws IOException {
        Tree tree = Tree.of(kernel);
        Map<String, String> expected = new TreeMap<>();
        try (Stream<Path> files = Files.list(tree.ksm())) {
            for (Path file : files.toList()) {
                expected.put(
                        file.getFileName().toString(), Files.readAllLines(file).get(0));
            }
        }
        assertThat(tree.stats().isAvailable()).isTrue();
        assertThat(tree.stats().files()).containsExactlyEntriesOf(expected);
    }

    @ParameterizedTest
    @FieldSource("io.ksm4j.stats.Tree#KERNELS")
    void everyFileHasAnAccessorAndMissingOnesAreAbsent(String kernel) throws ReflectiveOperationException {
        KsmStats stats = Tree.of(kernel).stats();
        Map<String, String> files = new TreeMap<>(stats.files());
        String advisorMode = files.remove("advisor_mode");
        assertThat(stats.advisorMode().isPresent()).isEqualTo(advisorMode != null);
        for (String file : Tree.of("6.18").stats().files().keySet()) {
            files.putIfAbsent(file, "");
        }
        files.remove("advisor_mode");
        assertThat(files).hasSizeBetween(23, 24);
        for (Map.Entry<String, String> file : files.entrySet()) {
            Method accessor = KsmStats.class.getMethod(camelCase(file.getKey()));
            assertThat(accessor.invoke(stats))
                    .as(file.getKey())
                    .isEqualTo(
                            file.getValue().isEmpty()
                                    ? OptionalLong.empty()
                                    : OptionalLong.of(Long.parseLong(file.getValue())));
        }
    }

    private static String camelCase(String file) {
        StringBuilder name = new StringBuilder();
        for (int i = 0; i < file.length(); i++) {
            boolean startsWord = i > 0 && file.charAt(i - 1) == '_';
            if (file.charAt(i) != '_') {
                name.append(startsWord ? Character.toUpperCase(file.charAt(i)) : file.charAt(i));
            }
        }
        return name.toString();
    }

    @Test
    void linux2_6_32() {
        KsmStats stats = Tree.of("2.6.32").stats();
        assertThat(stats.maxKernelPages()).hasValue(256_000);
        assertThat(stats.savedBytes()).hasValue(21_000 * 4096);
        assertThat(stats.usedBytes()).hasValue(1500 * 4096);
        assertThat(stats.rmapItems()).hasValue(32_000);
        assertThat(stats.profitBytes()).hasValue(21_000 * 4096 - 32_000 * 64);
        assertThat(stats.sharingRatio()).hasValue(14);
        assertThat(stats.wastedEffort()).hasValue(9.0 / 21);
        assertThat(stats.volatileShare()).hasValue(1.0 / 64);
        assertThat(stats.fullScanTime()).hasValue(Duration.ofMillis(320 * 20));
        assertThat(stats.cowKsm()).isEmpty();
        assertThat(stats.ksmSwpinCopy()).isEmpty();
        assertAllAbsent(Tree.of("2.6.32").process());
    }

    @Test
    void linux4_19() {
        KsmStats stats = Tree.of("4.19").stats();
        assertThat(stats.maxPageSharing()).hasValue(256);
        assertThat(stats.stableNodeDups()).hasValue(41);
        assertThat(stats.maxKernelPages()).isEmpty();
        assertThat(stats.profitBytes()).hasValue(310_422L * 4096 - (5210 + 310_422 + 41_200 + 3300) * 64);
        assertThat(stats.cowKsm()).isEmpty();
        assertAllAbsent(Tree.of("4.19").process());
    }

    @Test
    void linux5_15() {
        KsmStats stats = Tree.of("5.15").stats();
        assertThat(stats.mergeAcrossNodes()).hasValue(0);
        assertThat(stats.profitBytes()).as("a loss").hasValue(-1_331_200);
        assertThat(stats.wastedEffort()).hasValue(50);
        assertThat(stats.ksmSwpinCopy()).isEmpty();
        assertAllAbsent(Tree.of("5.15").process());
    }

    /** Recorded by {@code io.ksm4j.kernels.Recording} on kernels where nothing else merges. */
    @ParameterizedTest
    @ValueSource(strings = {"5.10", "6.1", "6.12", "7.2"})
    void recordedKernelsCountTheSameLoad(String kernel) {
        KsmStats stats = Tree.of(kernel).stats();
        assertThat(stats.run()).hasValue(1);
        assertThat(stats.pagesShared()).hasValue(64);
        assertThat(stats.pagesSharing()).hasValue(4032);
        assertThat(stats.pagesUnshared().orElseThrow() + stats.pagesVolatile().orElseThrow())
                .isEqualTo(1100);
        assertThat(stats.sharingRatio()).hasValue(63);
        assertThat(stats.savedBytes()).hasValue((4032 + stats.ksmZeroPages().orElse(0)) * Tree.PAGE);
    }

    @Test
    void recordedPagesOf16Kibibytes() {
        long page = 16384;
        Path root = Tree.of("6.12-arm64-16k").root();
        KsmStats stats = KsmStats.read(root, page);
        assertThat(stats.savedBytes()).hasValue((4032 + 200) * page);
        assertThat(stats.profitBytes()).isEqualTo(stats.generalProfit());
        ProcessKsmStats process = ProcessKsmStats.read(root, Tree.PID, page);
        assertThat(process.mergedBytes()).hasValue((4096 + 200) * page);
        assertThat(process.profitBytes()).isEqualTo(process.processProfit());
    }

    @Test
    void linux5_10AsRecorded() {
        KsmStats stats = Tree.of("5.10").stats();
        assertThat(stats.generalProfit()).isEmpty();
        assertThat(stats.ksmZeroPages()).isEmpty();
        assertThat(stats.cowKsm()).isEmpty();
        assertThat(stats.ksmSwpinCopy()).isEmpty();
        assertThat(stats.profitBytes()).hasValue(4032 * Tree.PAGE - (64 + 4032 + 1100) * 64);
        assertAllAbsent(Tree.of("5.10").process());
    }

    @Test
    void linux6_1AsRecorded() {
        KsmStats stats = Tree.of("6.1").stats();
        assertThat(stats.generalProfit()).isEmpty();
        assertThat(stats.ksmZeroPages()).isEmpty();
        assertThat(stats.cowKsm()).isPresent();
        assertThat(stats.ksmSwpinCopy()).hasValue(0);

        ProcessKsmStats process = Tree.of("6.1").process();
        assertThat(process.pid()).isEqualTo(1);
        assertThat(process.entries()).containsOnly(Map.entry("ksm_rmap_items", "5196"));
        assertThat(process.mergingPages()).as("from a file by itself").hasValue(4096);
        assertThat(process.zeroPages()).isEmpty();
        assertThat(process.processProfit()).isEmpty();
        assertThat(process.mergedBytes()).hasValue(16 << 20);
        assertThat(process.profitBytes()).hasValue((16 << 20) - 5196 * 64);
    }

    @Test
    void linux6_12AsRecorded() {
        KsmStats stats = Tree.of("6.12").stats();
        assertThat(stats.advisorMode()).hasValue("none");
        assertThat(stats.ksmZeroPages()).hasValue(200);
        assertThat(stats.profitBytes()).isEqualTo(stats.generalProfit()).hasValue(17_001_728);

        ProcessKsmStats process = Tree.of("6.12").process();
        assertThat(process.mergeAny()).isEmpty();
        assertThat(process.mergeable()).isEmpty();
        assertThat(process.mergingPages()).hasValue(4096);
        assertThat(process.zeroPages()).hasValue(200);
        assertThat(process.rmapItems()).hasValue(5196);
        assertThat(process.profitBytes()).isEqualTo(process.processProfit()).hasValue(17_263_872);
    }

    @Test
    void linux7_2AsRecorded() {
        KsmStats stats = Tree.of("7.2").stats();
        assertThat(stats.ksmZeroPages()).hasValue(200);
        assertThat(stats.profitBytes()).isEqualTo(stats.generalProfit());

        ProcessKsmStats process = Tree.of("7.2").process();
        assertThat(process.mergeAny()).hasValue(false);
        assertThat(process.mergeable()).hasValue(true);
        assertThat(process.mergingPages()).hasValue(4096);
        assertThat(process.zeroPages()).hasValue(200);
    }

    @Test
    void linux6_8() {
        KsmStats stats = Tree.of("6.8").stats();
        assertThat(stats.advisorMode()).hasValue("scan-time");
        assertThat(stats.savedBytes()).hasValue((5000 + 4096) * 4096);
        assertThat(stats.generalProfit()).hasValue(-26_742_784);
        assertThat(stats.profitBytes()).isEqualTo(stats.generalProfit());

        ProcessKsmStats process = Tree.of("6.8").process();
        assertThat(process.mergeAny()).isEmpty();
        assertThat(process.mergeable()).isEmpty();
        assertThat(process.mergedBytes()).hasValue((600 + 1024) * 4096);
        assertThat(process.processProfit()).hasValue(-2_948_096);
        assertThat(process.profitBytes()).isEqualTo(process.processProfit());
        assertThat(process.rmapItemsPerMergedPage()).hasValue(250);
    }

    @Test
    void linux6_18AsRecorded() {
        KsmStats stats = Tree.of("6.18").stats();
        assertThat(stats.run()).hasValue(1);
        assertThat(stats.advisorMode()).hasValue("none");
        assertThat(stats.pagesShared()).hasValue(64);
        assertThat(stats.pagesSharing()).hasValue(4032);
        assertThat(stats.pagesUnshared()).hasValue(1000);
        assertThat(stats.pagesVolatile()).hasValue(100);
        assertThat(stats.ksmZeroPages()).hasValue(200);
        assertThat(stats.sharingRatio()).hasValue(63);
        assertThat(stats.profitBytes()).isEqualTo(stats.generalProfit()).hasValue(17_001_728);
        assertThat(stats.cowKsm()).isPresent();
        assertThat(stats.ksmSwpinCopy()).hasValue(0);

        ProcessKsmStats process = Tree.of("6.18").process();
        assertThat(process.mergeAny()).hasValue(false);
        assertThat(process.mergeable()).hasValue(true);
        assertThat(process.mergingPages()).hasValue(4096);
        assertThat(process.zeroPages()).hasValue(200);
        assertThat(process.rmapItems()).hasValue(5196);
        assertThat(process.profitBytes()).isEqualTo(process.processProfit()).hasValue(17_263_872);
    }

    private static void assertAllAbsent(ProcessKsmStats process) {
        assertThat(process.entries()).isEmpty();
        assertThat(process.rmapItems()).isEmpty();
        assertThat(process.zeroPages()).isEmpty();
        assertThat(process.mergingPages()).isEmpty();
        assertThat(process.processProfit()).isEmpty();
        assertThat(process.mergeAny()).isEmpty();
        assertThat(process.mergeable()).isEmpty();
        assertThat(process.mergedBytes()).isEmpty();
        assertThat(process.profitBytes()).isEmpty();
        assertThat(process.rmapItemsPerMergedPage()).isEmpty();
    }
}
