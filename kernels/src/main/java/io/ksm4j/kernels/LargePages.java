// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.tck.Mapping;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.PageContents;
import org.junit.jupiter.api.Test;

/** Memory for which the system allocates huge pages by default. */
@OnlyIn(Situation.THP)
@EnabledIfKsm(control = true)
final class LargePages {

    private static final long SIZE = 16L << 20;

    private final Ksm ksm = Backend.ksm();

    private static long hugeBytes(MergeRegion region) {
        return Mapping.between(region.address(), region.range().end()).stream()
                .mapToLong(mapping -> mapping.bytes("AnonHugePages"))
                .sum();
    }

    @Test
    void theyAreSplitAndMergedToTheLastPage(RunningKsmd ksmd) {
        Sharing.awaitNone();
        Sharing before = Sharing.now();
        try (MergeRegion region = ksm.allocate(SIZE, RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE))) {
            long pages = SIZE / ksm.pageSize();
            PageContents content = PageContents.unique(ksm.pageSize());
            content.fill(region.buffer(), page -> page % (pages / 2));
            assertThat(hugeBytes(region)).as("in huge pages").isPositive();
            assertThat(region.stats().hugeBytes()).isEqualTo(hugeBytes(region));

            region.markMergeable();
            Merging.awaitMerging(ksmd, () -> {
                Merging.assertStats(region, SIZE, SIZE, SIZE / 2);
                assertThat(Sharing.since(before)).isEqualTo(new Sharing(pages / 2, pages / 2));
            });
            assertThat(hugeBytes(region)).isZero();
            assertThat(region.stats().hugeBytes()).isZero();
            content.verify(region.buffer(), page -> page % (pages / 2));
            region.markUnmergeable();
            Merging.assertStats(region, SIZE, 0, 0);
            content.verify(region.buffer(), page -> page % (pages / 2));
        }
    }

    @Test
    void doctorWarnsOfThem(RunningKsmd ksmd) {
        EndedProcess doctor = Commands.ksm("doctor", "--json");
        assertThat(doctor.exitStatus()).as("%s", doctor).isZero();
        assertThat(doctor.output()).contains("{\"name\": \"huge-pages\", \"verdict\": \"warning\", ");
        assertThat(ksmd.read("run")).isOne();
    }
}
