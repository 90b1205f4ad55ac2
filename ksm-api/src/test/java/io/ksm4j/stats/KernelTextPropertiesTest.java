// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.BigRange;
import net.jqwik.api.constraints.LongRange;
import net.jqwik.api.lifecycle.AfterProperty;
import net.jqwik.api.lifecycle.BeforeProperty;

/** For any content of the files, a number is correct, absent, or an error that names the file. */
@Tag("more")
class KernelTextPropertiesTest {

    private static final int TRIES = 100;

    private static final Map<String, Function<ProcessKsmStats, ?>> PROCESS = Map.of(
            "ksm_rmap_items", ProcessKsmStats::rmapItems,
            "ksm_zero_pages", ProcessKsmStats::zeroPages,
            "ksm_merging_pages", ProcessKsmStats::mergingPages,
            "ksm_process_profit", ProcessKsmStats::processProfit,
            "ksm_merge_any", ProcessKsmStats::mergeAny,
            "ksm_mergeable", ProcessKsmStats::mergeable);

    private Tree tree;

    @BeforeProperty
    void createTree() throws IOException {
        tree = new Tree(Files.createTempDirectory("ksm4j-tree"));
        Files.createDirectories(tree.ksm());
    }

    @AfterProperty
    void deleteTree() throws IOException {
        try (Stream<Path> files = Files.walk(tree.root())) {
            for (Path file : files.sorted((a, b) -> b.compareTo(a)).toList()) {
                Files.delete(file);
            }
        }
    }

    @Property(tries = TRIES)
    void truncatedNumberIsAnError(@ForAll @LongRange(min = 0) long number, @ForAll int at) {
        String text = number + "\n";
        String rest = text.substring(0, Math.floorMod(at, text.length()));
        tree.withKsm("pages_sharing", rest);
        if (rest.isEmpty()) {
            assertThat(tree.stats().pagesSharing()).isEmpty();
        } else {
            assertThatThrownBy(tree::stats)
                    .isInstanceOf(UncheckedIOException.class)
                    .hasMessageContaining(tree.ksm() + "/pages_sharing")
                    .hasMessageContaining('"' + rest + '"');
        }
    }

    @Property(tries = TRIES)
    void truncatedKsmStatYieldsWholeLinesOrAnError(@ForAll int at) {
        String whole = Tree.of("6.18").text("proc/1/ksm_stat");
        String rest = whole.substring(0, Math.floorMod(at, whole.length()));
        tree.withProcess("ksm_stat", rest);
        ProcessKsmStats expected = Tree.of("6.18").process();
        if (rest.isEmpty() || rest.endsWith("\n")) {
            ProcessKsmStats stats = tree.process();
            assertThat(stats.entries()).hasSize((int) rest.lines().count());
            PROCESS.forEach((name, value) -> {
                if (stats.entries().containsKey(name)) {
                    assertThat(value.apply(stats)).as(name).isEqualTo(value.apply(expected));
                } else {
                    assertThat(isAbsent(value.apply(stats))).as(name).isTrue();
                }
            });
        } else {
            assertThatThrownBy(tree::process)
                    .isInstanceOf(UncheckedIOException.class)
                    .hasMessageContaining("ksm_stat");
        }
    }

    private static boolean isAbsent(Object value) {
        return value.toString().endsWith(".empty");
    }

    @Property(tries = TRIES)
    void truncatedVmstatYieldsWholeLinesOrAnError(@ForAll int at) {
        String whole = Tree.of("6.18").text("proc/vmstat");
        KsmStats expected = Tree.of("6.18").stats();
        // Most truncations are in the relevant part.
        int from = at % 4 == 0 ? 0 : whole.indexOf("ksm_swpin_copy");
        String rest = whole.substring(0, from + Math.floorMod(at, at % 4 == 0 ? whole.length() : 40));
        tree.withVmstat(rest);
        if (rest.isEmpty() || rest.endsWith("\n")) {
            assertThat(tree.stats().cowKsm())
                    .isEqualTo(rest.contains("\ncow_ksm ") ? expected.cowKsm() : OptionalLong.empty());
            assertThat(tree.stats().ksmSwpinCopy())
                    .isEqualTo(rest.contains("\nksm_swpin_copy ") ? expected.ksmSwpinCopy() : OptionalLong.empty());
        } else {
            assertThatThrownBy(tree::stats)
                    .isInstanceOf(UncheckedIOException.class)
                    .hasMessageContaining("vmstat");
        }
    }

    /** Lines of this or other kernels that must not be mistaken for the ones to be found. */
    @Provide
    Arbitrary<List<String>> otherLines() {
        return Arbitraries.of(
                        "nr_free_pages 1",
                        "",
                        " ",
                        "cow_ksm_failed 7",
                        "not_cow_ksm 8",
                        "cow_ksm: 9",
                        "cow_ksm",
                        "ksm_swpin_copy\t3",
                        "ksm_rmap_items_max 12",
                        "x ksm_rmap_items 5",
                        "ksm_future -1e9",
                        "\u00ff\u0000 \u0001")
                .list()
                .ofMaxSize(8);
    }

    @Property(tries = TRIES)
    void findsVmstatLinesInAnyOrderAmongOthers(
            @ForAll("otherLines") List<String> others,
            @ForAll @LongRange(min = 0) long cow,
            @ForAll @LongRange(min = 0) long copied,
            @ForAll Random random) {
        List<String> lines = new ArrayList<>(others);
        lines.add("cow_ksm " + cow);
        lines.add("ksm_swpin_copy " + copied);
        Collections.shuffle(lines, random);
        tree.withVmstat(lines(lines));
        assertThat(tree.stats().cowKsm()).hasValue(cow);
        assertThat(tree.stats().ksmSwpinCopy()).hasValue(copied);

        lines.removeIf(line -> line.startsWith("ksm_swpin_copy ") || line.startsWith("cow_ksm "));
        tree.withVmstat(lines(lines));
        assertThat(tree.stats().cowKsm()).isEmpty();
        assertThat(tree.stats().ksmSwpinCopy()).isEmpty();
    }

    @Property(tries = TRIES)
    void findsKsmStatEntriesInAnyOrderAmongOthers(
            @ForAll("otherLines") List<String> others,
            @ForAll @LongRange(min = 0) long items,
            @ForAll long profit,
            @ForAll boolean mergeable,
            @ForAll Random random) {
        List<String> lines = new ArrayList<>(others);
        lines.add("ksm_rmap_items " + items);
        lines.add("ksm_process_profit " + profit);
        lines.add("ksm_mergeable: " + (mergeable ? "yes" : "no"));
        Collections.shuffle(lines, random);
        tree.withProcess("ksm_stat", lines(lines));
        ProcessKsmStats stats = tree.process();
        assertThat(stats.rmapItems()).hasValue(items);
        assertThat(stats.processProfit()).hasValue(profit);
        assertThat(stats.mergeable()).hasValue(mergeable);
        assertThat(stats.mergingPages()).isEmpty();
        assertThat(stats.mergeAny()).isEmpty();
        assertThat(stats.entries()).hasSize((int) lines.stream()
                .map(line -> line.split(" ", 2)[0].replaceAll(":$", ""))
                .distinct()
                .count());
    }

    private static String lines(Collection<String> lines) {
        return lines.stream().map(line -> line + "\n").collect(Collectors.joining());
    }

    @Property(tries = TRIES)
    void readsNumbersToTheLastDigit(
            @ForAll @BigRange(min = "-9223372036854775808", max = "40000000000000000000") BigInteger number) {
        boolean printable = number.signum() < 0 || number.bitLength() <= Long.SIZE;
        boolean fits = number.bitLength() < Long.SIZE;
        tree.withKsm("pages_shared", number + "\n").withKsm("general_profit", number + "\n");
        if (printable) {
            KsmStats stats = tree.stats();
            assertThat(stats.files()).containsEntry("pages_shared", number.toString());
            assertThat(stats.generalProfit())
                    .isEqualTo(fits ? OptionalLong.of(number.longValue()) : OptionalLong.empty());
            assertThat(stats.pagesShared())
                    .as("below zero or beyond a long, a counter has wrapped")
                    .isEqualTo(
                            fits && number.signum() >= 0 ? OptionalLong.of(number.longValue()) : OptionalLong.empty());
        } else {
            assertThatThrownBy(tree::stats)
                    .isInstanceOf(UncheckedIOException.class)
                    .hasMessageContaining(number.toString());
        }
    }

    @Provide
    Arbitrary<String> garbage() {
        Arbitrary<String> almostNumbers =
                Arbitraries.strings().withChars("0123456789+- \t\r\n\u00b2ex.").ofMaxLength(24);
        return Arbitraries.oneOf(almostNumbers, Arbitraries.strings().withCharRange('\u0000', '\u00ff'))
                .filter(text -> !text.isEmpty() && !text.matches("-?[0-9]+"));
    }

    @Property(tries = TRIES)
    void malformedKnownFileIsAnErrorThatNamesTheFile(@ForAll("garbage") String garbage) {
        tree.withKsm("full_scans", garbage + "\n");
        assertThat(catchThrowable(tree::stats))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining(tree.ksm() + "/full_scans")
                .hasMessageContaining('"' + garbage.substring(0, Math.min(80, garbage.length())));
    }

    @Property(tries = TRIES)
    void malformedKnownLineIsAnErrorThatNamesTheFile(@ForAll("garbage") String garbage) {
        String line = garbage.lines().findFirst().orElse("").replace('\r', '-') + "x";
        tree.withProcess("ksm_stat", "ksm_zero_pages " + line + "\n");
        assertThatThrownBy(tree::process)
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("/proc/1/ksm_stat");
        tree.withProcess("ksm_stat", "ksm_merge_any: " + line + "\n");
        assertThatThrownBy(tree::process)
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("/proc/1/ksm_stat");
        tree.withVmstat("nr_free_pages 5\ncow_ksm " + line + "\n");
        assertThatThrownBy(tree::stats).isInstanceOf(UncheckedIOException.class).hasMessageContaining("/proc/vmstat");
    }

    @Property(tries = TRIES)
    void unknownFilesMayContainAnything(@ForAll("garbage") String text) {
        tree.withKsm("of_a_later_kernel", text).withKsm("run", "1\n");
        KsmStats stats = tree.stats();
        assertThat(stats.run()).hasValue(1);
        assertThat(stats.files())
                .containsEntry("of_a_later_kernel", text.endsWith("\n") ? text.substring(0, text.length() - 1) : text);
    }
}
