// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.ksm4j.tools.estimate.ContentTable.Groups;
import io.ksm4j.tools.estimate.Estimate.OfProcess;
import io.ksm4j.tools.estimate.Estimate.Rules;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EstimateTest {

    private static final Rules RULES = new Rules(4096, 256, false, true);

    private static OfProcess process(long read, long zeros, long contents, long elsewhere) {
        return new OfProcess(1, "one", true, read, zeros, 0, 0, contents, elsewhere, 0, 0, 0);
    }

    private static Estimate estimate(Rules rules, long contents, Groups groups, OfProcess... processes) {
        return new Estimate(rules, List.of(processes), contents, groups, 1);
    }

    /** Compares with the kernel's sizes if this user may read them. */
    @ParameterizedTest
    @CsvSource({
        "ksm_rmap_item, " + Estimate.RMAP_ITEM,
        "ksm_stable_node, " + Estimate.STABLE_NODE,
        "ksm_mm_slot, " + Estimate.MM_SLOT
    })
    void recordSizesAreThoseOfTheKernel(String slab, long bytes) throws IOException {
        Path size = Path.of("/sys/kernel/slab", slab, "object_size");
        assumeThat(size).isReadable();

        assertThat(Files.readString(size).strip()).isEqualTo(Long.toString(bytes));
    }

    @Test
    void pagesWithoutDuplicatesCostAndSaveNothing() {
        Estimate estimate = estimate(RULES, 10, new Groups(0, 0, 0), process(10, 0, 10, 0));

        assertThat(estimate.saved()).isZero();
        assertThat(estimate.profitBytes()).isEqualTo(-(10 * 64 + 48));
    }

    @Test
    void savingsAreWithinAndAcrossProcesses() {
        // 100 pages of 10 contents, and 50 pages of 20 contents, of which the first process also has 5.
        Estimate estimate = estimate(RULES, 25, new Groups(25, 25, 0), process(100, 0, 10, 5), process(50, 0, 20, 5));

        assertThat(estimate.processes()).extracting(estimate::within).containsExactly(90L, 30L);
        assertThat(estimate.processes()).extracting(estimate::across).containsExactly(5L, 5L);
        assertThat(estimate.within()).isEqualTo(120);
        assertThat(estimate.across()).isEqualTo(5);
        assertThat(estimate.savedBytes()).isEqualTo(125 * 4096);
        assertThat(estimate.costBytes()).isEqualTo(150 * 64 + 25 * 64 + 2 * 48);
    }

    @Test
    void zerosMergeLikeOtherPages() {
        Estimate estimate = estimate(RULES, 0, new Groups(0, 0, 0), process(512, 512, 0, 0), process(1, 1, 0, 0));

        assertThat(estimate.within()).isEqualTo(511);
        assertThat(estimate.across()).isEqualTo(1);
        assertThat(estimate.extraCopies()).isEqualTo(2);
        assertThat(estimate.saved()).isEqualTo(510);
        assertThat(estimate.costBytes()).isEqualTo(513 * 64 + 3 * 64 + 2 * 48);
    }

    @Test
    void zerosReplacedByTheZeroPageAreSavedCompletely() {
        Estimate estimate = estimate(
                new Rules(4096, 256, true, true), 0, new Groups(0, 0, 0), process(512, 512, 0, 0), process(1, 1, 0, 0));

        assertThat(estimate.saved()).isEqualTo(513);
        assertThat(estimate.across()).isZero();
        assertThat(estimate.costBytes()).isEqualTo(2 * 48);
    }

    @Test
    void theNumberOfMappingsOfAPageIsLimited() {
        Estimate estimate = estimate(RULES, 1, new Groups(1, 64, 0), process(16384, 0, 1, 0));

        assertThat(estimate.saved()).isEqualTo(16320);
    }

    @Test
    void anEmptySampleHasTheMaximumError() {
        ContentTable table = new ContentTable(64, 20);
        table.nextProcess();
        table.add(1);

        Estimate estimate = new Estimate(
                RULES, List.of(process(100, 10, 0, 0)), table.contents(), table.groups(256), table.sampling());

        assertThat(estimate.saved()).isEqualTo(99);
        assertThat(estimate.errorBytes()).isEqualTo(90 * 4096);
    }

    @Test
    void changedAndSharedPagesCostAndSaveNothing() {
        OfProcess process = new OfProcess(1, "one", true, 10, 0, 20, 30, 1, 0, 0, 0, 0);
        Estimate estimate = estimate(RULES, 1, new Groups(1, 1, 0), process);

        assertThat(estimate.saved()).isEqualTo(9);
        assertThat(estimate.costBytes(process)).isEqualTo(60 * 64 + 48);
    }
}
