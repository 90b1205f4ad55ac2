// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;

@Tag("more")
class SmapsTest {

    private static Path file = Path.of("");

    @BeforeContainer
    static void createFile() throws IOException {
        file = Files.createTempFile("smaps", "");
    }

    @AfterContainer
    static void deleteFile() throws IOException {
        Files.delete(file);
    }

    /** The expected values of a mapping; a negative number stands for a missing line. */
    record Mapping(
            long start,
            long end,
            long rss,
            long pss,
            long ksm,
            long anonymous,
            long huge,
            boolean mergeable,
            int readAdvice) {

        private List<String> fields() {
            List<String> fields = new ArrayList<>();
            fields.add(kilobytes("Rss", rss));
            fields.add(kilobytes("Pss", pss));
            fields.add("Pss_Dirty:           777 kB");
            fields.add(kilobytes("Anonymous", anonymous));
            if (ksm >= 0) {
                fields.add(kilobytes("KSM", ksm));
            }
            fields.add(kilobytes("AnonHugePages", huge));
            fields.add("THPeligible:           0");
            fields.add("SomeCounterOfAFutureKernel: 17 pages of it");
            String read = switch (readAdvice) {
                case Linux.MADV_RANDOM -> " rr";
                case Linux.MADV_SEQUENTIAL -> " sr";
                default -> "";
            };
            fields.add("VmFlags: rd wr mr" + read + " mw me ac" + (mergeable ? " mg" : "") + " sd ");
            return fields;
        }

        private static String kilobytes(String name, long bytes) {
            return name + ":" + " ".repeat(Math.max(1, 20 - name.length())) + (bytes >> 10) + " kB";
        }

        private String header() {
            return Long.toHexString(start) + "-" + Long.toHexString(end)
                    + " rw-p 00000000 fd:00 99     /tmp/\u00ff\u00c3(: mg ab\\012cd Rss: 1 kB";
        }

        String text(List<String> fields) {
            return header() + "\n" + String.join("\n", fields) + "\n";
        }

        String text() {
            return text(fields());
        }
    }

    @Provide
    Arbitrary<List<Mapping>> mappings() {
        Arbitrary<Long> kilobytes = Arbitraries.longs().between(0, Long.MAX_VALUE >> 10);
        Arbitrary<Long> small = Arbitraries.longs().between(0, 1L << 20);
        Arbitrary<Long> bytes = Arbitraries.oneOf(List.of(kilobytes, small)).map(number -> number << 10);
        return Combinators.combine(
                        Arbitraries.longs().between(0, Long.MAX_VALUE - 1),
                        bytes,
                        bytes,
                        Arbitraries.oneOf(List.of(bytes, Arbitraries.just(-1L))),
                        bytes,
                        bytes,
                        Arbitraries.of(true, false),
                        Arbitraries.of(Linux.MADV_NORMAL, Linux.MADV_RANDOM, Linux.MADV_SEQUENTIAL))
                .as((start, rss, pss, ksm, anonymous, huge, mergeable, advice) ->
                        new Mapping(start, start + 1, rss, pss, ksm, anonymous, huge, mergeable, advice))
                .list()
                .ofMinSize(1)
                .ofMaxSize(5);
    }

    private static List<Mapping> read(String text) throws IOException {
        Files.writeString(file, text, StandardCharsets.ISO_8859_1);
        List<Mapping> read = new ArrayList<>();
        try (Smaps smaps = new Smaps(file)) {
            while (smaps.next()) {
                read.add(new Mapping(
                        smaps.start,
                        smaps.end,
                        smaps.rss,
                        smaps.pss,
                        smaps.ksm,
                        smaps.anonymous,
                        smaps.huge,
                        smaps.mergeable,
                        smaps.readAdvice));
            }
            assertThat(smaps.next()).isFalse();
        }
        return read;
    }

    private static String text(List<Mapping> mappings) {
        return mappings.stream().map(Mapping::text).collect(Collectors.joining());
    }

    @Property(tries = 300)
    void readsLinesInAnyOrder(@ForAll("mappings") List<Mapping> mappings, @ForAll Random random) throws IOException {
        String text = mappings.stream()
                .map(mapping -> {
                    List<String> fields = mapping.fields();
                    Collections.shuffle(fields, random);
                    return mapping.text(fields);
                })
                .collect(Collectors.joining());
        assertThat(read(text)).isEqualTo(mappings);
    }

    @Property(tries = 300)
    void truncatedFileYieldsNoWrongNumbers(
            @ForAll("mappings") List<Mapping> mappings, @ForAll @IntRange(max = 100_000) int at) throws IOException {
        String whole = text(mappings);
        String cut = whole.substring(0, at % whole.length());
        List<Mapping> read;
        try {
            read = read(cut);
        } catch (IOException refused) {
            assertThat(refused).hasMessageMatching(".*(truncated|Rss or Pss is missing).*mapping at [0-9a-f]+");
            return;
        }
        assertThat(cut)
                .satisfiesAnyOf(
                        text -> assertThat(text).isEmpty(),
                        text -> assertThat(text).endsWith("\n"));
        for (int i = 0; i < read.size(); i++) {
            Mapping expected = mappings.get(i);
            if (i < read.size() - 1) {
                assertThat(read.get(i)).isEqualTo(expected);
            } else {
                assertThat(read.get(i).rss()).isEqualTo(expected.rss());
                assertThat(read.get(i).pss()).isEqualTo(expected.pss());
                assertThat(read.get(i).ksm()).isIn(expected.ksm(), -1L);
                assertThat(read.get(i).anonymous()).isIn(expected.anonymous(), 0L);
                assertThat(read.get(i).huge()).isIn(expected.huge(), 0L);
            }
        }
    }

    @Provide
    Arbitrary<List<String>> lines() {
        return Arbitraries.of(
                        "1000-2000 rw-p 00000000 00:00 0",
                        "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]",
                        "Rss:    8 kB",
                        "Pss:    4 kB",
                        "VmFlags: rd mg",
                        "VmFlags:",
                        "Future: 1 2 3",
                        "Rss: eight kB",
                        "1000-",
                        "no colon",
                        "")
                .list()
                .ofMaxSize(12);
    }

    /** Any lines yield the mappings they contain, or an error that names a mapping. */
    @Property(tries = 500)
    void anyLinesYieldMappingsOrAnErrorWithAReason(@ForAll("lines") List<String> lines) throws IOException {
        String text = lines.stream().map(line -> line + "\n").collect(Collectors.joining());
        List<Mapping> read;
        try {
            read = read(text);
        } catch (IOException refused) {
            assertThat(refused).hasMessageContaining("mapping");
            return;
        }
        assertThat(read).hasSize((int) lines.stream()
                .filter(line -> line.matches("[0-9a-f]+-[0-9a-f]+ .*"))
                .count());
        assertThat(read).allSatisfy(mapping -> assertThat(mapping.rss()).isEqualTo(8 << 10));
        assertThat(lines).doesNotContain("Rss: eight kB", "1000-", "no colon", "");
    }

    @Example
    void rejectsNumbersLargerThanAnyAddressSpace() {
        Mapping mapping = new Mapping(4096, 8192, 0, 0, -1, 0, 0, false, 0);
        for (String number : List.of("9007199254740992", "18446744073709551615", "99999999999999999999999")) {
            assertThatThrownBy(() -> read(mapping.text().replaceFirst("Rss: +0", "Rss: " + number)))
                    .hasMessageContaining("too large")
                    .hasMessageContaining("1000");
        }
    }

    @Example
    void rejectsMalformedNumbersOfKilobytes() {
        Mapping mapping = new Mapping(4096, 8192, 0, 0, -1, 0, 0, false, 0);
        for (String garbage : List.of("", "-1 kB", "1 MB", "1", "0x1 kB", "1 kB ")) {
            assertThatThrownBy(() -> read(mapping.text().replaceFirst("Pss: +0 kB", "Pss: " + garbage)))
                    .hasMessageContaining("expected a number of kB");
        }
    }

    @Example
    void mappingInTheKernelsHalfHasANegativeStart() throws IOException {
        String vsyscall = """
                ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
                Rss:                   0 kB
                Pss:                   0 kB
                VmFlags: ex
                """;
        assertThat(read(vsyscall)).containsExactly(new Mapping(-0xa00000, -0x9ff000, 0, 0, -1, 0, 0, false, 0));
    }

    @Example
    void rejectsAMappingWithoutResidentBytes() {
        assertThatThrownBy(() -> read("1000-2000 rw-p 00000000 00:00 0\nVmFlags: rd mg\n"))
                .hasMessage("Rss or Pss is missing for the mapping at 1000");
    }

    @Example
    void emptyFileHasNoMappings() throws IOException {
        assertThat(read("")).isEmpty();
    }
}
