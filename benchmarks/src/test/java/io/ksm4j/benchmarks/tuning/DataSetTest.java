// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.junit.EnabledIfKsm;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DataSetTest {

    private static final long PAGE = 4096;

    @EnabledIfKsm
    @ParameterizedTest
    @CsvSource({"1, 0", "2, 0", "4, 0.5", "16, 0.9", "64, 0.25", "3, 1"})
    void savablePagesAreThoseEqualToAnEarlierPage(int copies, double unique) {
        Ksm ksm = Ksm.system();
        DataSet data = new DataSet(4L << 20, copies, unique);
        List<MergeRegion> regions = new ArrayList<>();
        try {
            data.allocate(ksm, regions);
            Set<ByteBuffer> different = new HashSet<>();
            long pages = 0;
            for (MergeRegion region : regions) {
                assertThat(region.isMergeable()).isFalse();
                MemorySegment memory = region.view(MemorySegment.class);
                for (long at = 0; at < region.size(); at += ksm.pageSize()) {
                    byte[] page = memory.asSlice(at, ksm.pageSize()).toArray(ValueLayout.JAVA_BYTE);
                    different.add(ByteBuffer.wrap(page));
                    pages++;
                }
            }
            assertThat(regions).hasSize(copies);
            assertThat(data.savablePages(ksm.pageSize(), 256)).isEqualTo(pages - different.size());
        } finally {
            regions.forEach(MergeRegion::close);
        }
    }

    @Test
    void savablePagesRespectMaxPageSharing() {
        DataSet data = new DataSet(512 * PAGE, 512, 0);
        assertThat(data.savablePages(PAGE, 512)).isEqualTo(511);
        assertThat(data.savablePages(PAGE, 511)).isEqualTo(510);
        assertThat(data.savablePages(PAGE, 256)).isEqualTo(510);
        assertThat(data.savablePages(PAGE, 2)).isEqualTo(256);
    }

    @Test
    void hasADescription() {
        assertThat(new DataSet(256L << 20, 16, 0.9)).hasToString("0.25 GiB in 16 copies, 90 % unique");
    }
}
