// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.AddressRange;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.estimate.Estimate.Rules;
import io.ksm4j.tools.linux.BackendSearch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Compares what the kernel finds with what reading each entry of pagemap finds. */
@EnabledIf("io.ksm4j.tools.estimate.ProcessPagesTest#mayReadFrames")
class PageScanTest {

    private static final long PAGE = ProcessPagesTest.PAGE;
    private static final Optional<KsmBackend> KERNEL =
            Optional.of(BackendSearch.find().require());

    /** Does not change, because it is stopped. */
    private static SparseMemory memory;

    @BeforeAll
    static void start() {
        memory = SparseMemory.start();
        memory.jvm().stop();
    }

    @AfterAll
    static void end() {
        memory.close();
    }

    private static Optional<KsmBackend> kernel(boolean isAsked) {
        return isAsked ? KERNEL : Optional.empty();
    }

    private static PrivateMapping mapping(AddressRange range) {
        return new PrivateMapping(range.start(), range.end(), range.length(), 0, false);
    }

    private static PageScan scan() {
        Optional<PageScan> scan = KERNEL.flatMap(
                kernel -> PageScan.open(kernel, memory.directory().resolve("pagemap"), PAGE));
        assumeThat(scan.flatMap(
                        pages -> pages.next(memory.file().start(), memory.file().end())))
                .as("Linux 6.7")
                .isPresent();
        return scan.orElseThrow();
    }

    @Test
    void findsTheSamePagesAsReadingAllEntries() {
        // khugepaged may still replace pages.
        await().atMost(PATIENCE).untilAsserted(() -> {
            List<PrivateMapping> mappings = memory.mappingsWithoutReserved();
            RecordedPages found = RecordedPages.visit(memory.directory(), mappings, KERNEL);
            RecordedPages all = RecordedPages.visit(memory.directory(), mappings, Optional.empty());

            assertThat(found).isEqualTo(all);
            assertThat(found.addresses()).containsAll(memory.sparsePages());
            assertThat(found.addresses().stream().filter(memory.file()::contains))
                    .hasSize(SparseMemory.WRITTEN_PAGES);
            assertThat(found.addresses().stream().filter(memory.dense()::contains))
                    .hasSize(SparseMemory.DENSE_PAGES);
            assertThat(found.unread()).isZero();
            assertThat(found.ended()).isFalse();
        });
    }

    @Test
    void oneCallScansAnEmptyAddressSpace() {
        try (PageScan scan = scan()) {
            PageScan.Found found = scan.next(
                            memory.reserved().start(), memory.reserved().end())
                    .orElseThrow();

            assertThat(found.end()).isEqualTo(memory.reserved().end());
            assertThat(found.ranges())
                    .hasSize(SparseMemory.RESERVED_PAGES)
                    .allSatisfy(range -> assertThat(range.length()).isEqualTo(PAGE));
        }
    }

    @Test
    void aCallFindsLimitedPagesAndRegions() {
        try (PageScan scan = scan()) {
            assertThat(scan.next(memory.dense().start(), memory.dense().end()))
                    .contains(new PageScan.Found(
                            List.of(new AddressRange(memory.dense().start(), 8192 * PAGE)),
                            memory.dense().start() + 8192 * PAGE));

            PageScan.Found found =
                    scan.next(memory.sparse().start(), memory.sparse().end()).orElseThrow();
            assertThat(found.ranges()).hasSize(1024);
            assertThat(found.end()).isEqualTo(found.ranges().get(1023).end());
        }
    }

    /** Guards stand for pages on swap, which not every machine has. */
    @Test
    void findsEntriesWithoutMemory() {
        AddressRange range = guarded();
        try (PageScan scan = scan()) {
            long found = (SparseMemory.FIRST_GUARD + SparseMemory.GUARDS) * PAGE;

            assertThat(scan.next(range.start(), range.end()))
                    .contains(new PageScan.Found(List.of(new AddressRange(range.start(), found)), range.end()));
        }
    }

    @Test
    void guardsAreNotOnSwap() throws IOException {
        AddressRange range = guarded();
        assumeThat(System.getProperty("os.version"))
                .as("pagemap shows guards since Linux 6.15")
                .doesNotMatch("6\\.1[34]\\b.*");

        RecordedPages pages = RecordedPages.visit(memory.directory(), List.of(mapping(range)), KERNEL);

        assertThat(pages.addresses()).hasSize(SparseMemory.WRITTEN_BEFORE_GUARDS);
        assertThat(pages.swapped()).isZero();
    }

    private static AddressRange guarded() {
        assumeThat(memory.guarded()).as("Linux 6.13").isPresent();
        return memory.guarded().orElseThrow();
    }

    /** Counts all bytes that this JVM reads. Reading all entries would take 32 GiB. */
    @Test
    void anEstimateReadsLittleOfALargeAddressSpace() throws Exception {
        scan().close();
        Estimator estimator =
                new Estimator(new Rules(PAGE, 256, false, true), new Estimator.Options(false, false, 0, 64 << 20, 1));
        long before = bytesRead();

        Estimate estimate = estimator
                .estimate(Set.of(memory.jvm().pid()), new ReadProgress())
                .orElseThrow();

        assertThat(bytesRead() - before).isLessThan(1L << 30);
        assertThat(estimate.candidates()).isGreaterThan(2 * SparseMemory.DENSE_PAGES);
        assertThat(estimator.isComplete()).isTrue();
    }

    private static long bytesRead() throws IOException {
        Path io = Path.of("/proc/self/io");
        assumeThat(io).exists();
        Matcher line = Pattern.compile("rchar: (\\d+)").matcher(Files.readString(io));
        assertThat(line.find()).isTrue();
        return Long.parseLong(line.group(1));
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aMappingMayVanish(boolean isAsked) throws IOException {
        try (SparseMemory running = SparseMemory.start()) {
            List<PrivateMapping> mappings = List.of(mapping(running.dense()));
            RecordedPages during = RecordedPages.visit(running.directory(), mappings, kernel(isAsked), () -> {
                running.jvm().proceed();
                running.jvm().awaitLine("unmapped");
            });
            RecordedPages after = RecordedPages.visit(running.directory(), mappings, kernel(isAsked));

            assertThat(during.addresses())
                    .as("those that were read before")
                    .hasSizeBetween(1, SparseMemory.DENSE_PAGES / 2);
            assertThat(during.ended()).isFalse();
            assertThat(after).isEqualTo(new RecordedPages(List.of(), List.of(), 0, 0, 0, false));
        }
    }

    @Test
    void doesNotOpenWhatIsNotThere() {
        assertThat(KERNEL.flatMap(kernel -> PageScan.open(kernel, Path.of("/proc/0/pagemap"), PAGE)))
                .isEmpty();
    }
}
